#!/bin/sh
# Keeps one lab host's namespaces: started by unshare inside them, it makes the host's own /etc
# and /sys, says "ready", and waits on stdin for what its maker wants.
#
#   holder.sh HOST FILES        FILES: the lab's resolv.conf, hosts and nsswitch.conf
#
# "keep" means stay for good (davylamp lab up). End of file means the maker is gone, however it
# died: end every process of this network namespace, so that the kernel drops it whole.
set -eu
host=$1 files=$2

mount -n --bind "$files/resolv.conf" /etc/resolv.conf
mount -n --bind "$files/hosts" /etc/hosts
[ ! -e /etc/nsswitch.conf ] || mount -n --bind "$files/nsswitch.conf" /etc/nsswitch.conf
# A name-service cache would answer from outside the lab, over its socket.
[ ! -d /run/nscd ] || mount -n -t tmpfs tmpfs /run/nscd
# The old /sys still shows the maker's interfaces; where a fresh one is refused, only that is lost.
mount -n -t sysfs sysfs /sys 2>/dev/null || :
hostname "$host" 2>/dev/null || :

net=/proc/sys/net
for family in ipv4 ipv6; do
  for setting in accept_dad=0 accept_ra=0 rp_filter=0 accept_redirects=0 send_redirects=0; do
    for scope in all default; do
      path=$net/$family/conf/$scope/${setting%=*}
      [ ! -e "$path" ] || echo "${setting#*=}" > "$path"
    done
  done
done
echo 8192 > $net/core/somaxconn
echo '10240 65535' > $net/ipv4/ip_local_port_range
if [ "$host" = gateway ]; then
  echo 1 > $net/ipv4/ip_forward
  echo 1 > $net/ipv6/conf/all/forwarding
fi
ip link set lo up

echo ready
exec > /dev/null 2>&1
wish=
read -r wish || :
[ "$wish" != keep ] || exec sleep infinity

# First the gate: a program on its way in is now either here already or will not start.
rm -f -- "$files/gate"
rounds=0
while [ $rounds -lt 100 ]; do
  rounds=$((rounds + 1)) found=
  for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    if [ "$pid" != $$ ] && [ "$process/ns/net" -ef "/proc/$$/ns/net" ]; then
      kill -KILL "$pid" && found=1 || :
    fi
  done
  [ -n "$found" ] || break
  sleep 0.05
done
[ "$host" != gateway ] || rm -rf -- "${files%/*}"
