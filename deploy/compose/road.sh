#!/bin/sh
# A road between the lab's two networks, for as long as this runs: an engine that writes packet filter
# rules keeps its networks apart, and lets its chain DOCKER-USER say otherwise.
set -u
way() { iptables -w 5 "$1" DOCKER-USER -i "$TRAIN" -o "$OUTSIDE" -j ACCEPT; }
back() { iptables -w 5 "$1" DOCKER-USER -i "$OUTSIDE" -o "$TRAIN" -j ACCEPT; }

if iptables -w 5 -n -L DOCKER-USER >/dev/null 2>&1; then
  way -I && back -I || exit 1
  trap 'way -D; back -D; exit 0' TERM INT
  echo "the road is open: $TRAIN to $OUTSIDE"
else
  trap 'exit 0' TERM INT
  echo "this engine keeps no networks apart: no road is needed"
fi
while :; do sleep 3600 & wait $!; done
