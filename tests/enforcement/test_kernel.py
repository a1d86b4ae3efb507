"""The ruleset goes in, survives its gateway's death as its policy says, and comes out whole."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.enforcement.wires import FOUR, SPEC, Addresses, Gateway, Wire

from davylamp.capture.nfqueue import NfQueue
from davylamp.decision import Block, Fate
from davylamp.enforcement import programs
from davylamp.enforcement.features import detect, refusal
from davylamp.enforcement.kernel import Kernel
from davylamp.enforcement.ruleset import COUNTERS
from davylamp.enforcement.spec import ExceptionPolicy, Features
from davylamp.errors import KernelError
from davylamp.flow import Proto

pytestmark = pytest.mark.lab

LISTENER = """
import sys
from davylamp.capture.nfqueue import NfQueue
from davylamp.decision import Fate
queue = NfQueue(0)
print("bound", flush=True)
while True:
    for packet in queue.receive(1.0):
        fate = Fate.CLEAR if b"benign" in packet.captured else Fate.ACCEPT
        queue.verdict(packet.packet_id, fate, packet.mark)
"""


@contextlib.contextmanager
def listener(wire: Wire) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that judges queue 0; it is gone when the block ends."""
    with (
        wire.inside("g"),
        subprocess.Popen(
            [sys.executable, "-c", LISTENER], stdout=subprocess.PIPE, text=True
        ) as run,
    ):
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "bound\n"
            yield run
        finally:
            run.kill()


def left_behind(wire: Wire) -> list[str]:
    """Return what of ours is in the gateway's tables."""
    found = wire.run("g", "nft", "list", "tables") + wire.run("g", "iptables-save")
    return [
        line for line in (found + wire.run("g", "ip6tables-save")).splitlines() if "davyl" in line
    ]


@pytest.mark.parametrize("policy", list(ExceptionPolicy))
def test_a_killed_gateway_leaves_its_policy(wire: Wire, policy: ExceptionPolicy) -> None:
    """After kill -9 cleared flows go on, unjudged ones as the policy says; a new one picks up."""
    with wire.inside("g"):
        kernel = Kernel(replace(SPEC, exception_policy=policy))
        kernel.apply()
    server = wire.listen(FOUR, 443)
    with listener(wire) as process:
        cleared, unjudged = wire.connect(server), wire.connect(server)
        for flow, first in ((cleared, b"benign"), (unjudged, b"other")):
            flow.client.sendall(first)
            assert flow.server.recv(100) == first
        process.send_signal(signal.SIGKILL)
        process.wait()
    cleared.client.sendall(b"goes on")
    assert cleared.server.recv(100) == b"goes on"
    unjudged.client.sendall(b"more")
    if policy is ExceptionPolicy.FAIL_OPEN:
        assert unjudged.server.recv(100) == b"more"
    else:
        unjudged.server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            unjudged.server.recv(100)
    with wire.inside("g"):
        kernel.apply()
    with listener(wire):
        cleared.client.sendall(b"still")
        assert cleared.server.recv(100) == b"still"
        unjudged.client.sendall(b" and more")
        unjudged.server.settimeout(5)
        assert unjudged.server.recv(100).endswith(b"more")
    with wire.inside("g"):
        kernel.remove()


def test_removal_leaves_nothing(wire: Wire) -> None:
    """Applied twice there are two rules a family; removed, nothing; removed again, no error."""
    with wire.inside("g"):
        kernel = Kernel(SPEC)
        kernel.apply()
        kernel.apply()
        rules = [line for line in left_behind(wire) if line.startswith("-A")]
        assert len(rules) == (0 if kernel.features.native_queue else 8)
        kernel.remove()
        assert left_behind(wire) == []
        kernel.remove()


def test_another_setting_replaces_the_rule(wire: Wire) -> None:
    """Rules with other queues take the earlier ones' place, first in their chain."""
    wire.run("g", "iptables", "-t", "mangle", "-A", "FORWARD", "-j", "ACCEPT")
    with wire.inside("g"):
        Kernel(SPEC, Features(native_queue=False)).apply()
        kernel = Kernel(replace(SPEC, queues=3), Features(native_queue=False))
        kernel.apply()
        rules = wire.run("g", "iptables", "-t", "mangle", "-S", "FORWARD").splitlines()
        assert ["0:2" in rule for rule in rules if "NFQUEUE" in rule] == [True] * 2
        assert "--queue-bypass" in rules[1]
        assert "NFQUEUE" in rules[2]
        kernel.remove()
        rest = wire.run("g", "iptables", "-t", "mangle", "-S", "FORWARD").splitlines()
    assert rest[1:] == ["-A FORWARD -j ACCEPT"]


def test_two_gateways_do_not_touch_each_other(wire: Wire) -> None:
    """Removing one table's ruleset leaves another's in force."""
    with wire.inside("g"):
        one, two = Kernel(SPEC), Kernel(replace(SPEC, table="davylamp_two", first_queue=7))
        one.apply()
        two.apply()
        one.remove()
        assert left_behind(wire)
        assert all("davylamp_two" in line for line in left_behind(wire))
        two.remove()
    assert left_behind(wire) == []


def test_a_restart_keeps_what_was_blocked(wire: Wire, gateway: Gateway) -> None:
    """Endpoints stay refused, for the rest of their time, when the ruleset is applied again."""
    sandbox, outside = FOUR.packed
    block = Block(Proto.TCP, sandbox, outside, 3333)
    gateway.sets.block(block, 100.0)
    with wire.inside("g"):
        gateway.kernel.apply()
    (found,) = gateway.sets.blocked()
    assert found.block == block
    assert 90 < found.seconds <= 100
    with pytest.raises(ConnectionRefusedError):
        wire.connect(wire.listen(FOUR, 3333))


@pytest.mark.parametrize("lacking", ["inner_header", "flow_limits", "random"])
def test_a_lesser_kernel_looks_at_more(wire: Wire, lacking: str) -> None:
    """Without payload matching or flow limits the ruleset loads, and first bytes are still held."""
    with wire.inside("g"):
        features = replace(detect(), **{lacking: False})
        kernel = Kernel(SPEC, features)
        kernel.apply()
        with NfQueue(0) as queue:
            server = wire.listen(FOUR, 443)
            if lacking != "inner_header":
                flow = wire.connect(server)
                flow.client.sendall(b"hello")
                assert queue.receive(3.0)[0].captured.endswith(b"hello")
            else:
                client = wire.datagrams("s", FOUR)
                client.sendto(b"question", (FOUR.outside, 53))
                assert queue.receive(3.0)[0].captured.endswith(b"question")
        kernel.remove()


def test_counters_are_named(gateway: Gateway) -> None:
    """Every counter that the ruleset names is there to be read."""
    assert {gateway.packets(name) for name in COUNTERS} == {0}


def test_a_refused_rule_says_why() -> None:
    """The kernel is asked about a rule without keeping it, and its answer is passed on."""
    assert refusal("accept") == ""
    assert "syntax error" in refusal("nonsense")


def test_a_gone_table_is_an_error_with_a_remedy(wire: Wire) -> None:
    """Counters and sets of a table that is not there raise our own error."""
    with wire.inside("g"):
        kernel = Kernel(SPEC)
        with pytest.raises(KernelError, match="No such file"):
            kernel.counters()
        sandbox, outside = FOUR.packed
        with kernel.sets() as sets, pytest.raises(KernelError, match="the gateway puts it back"):
            sets.block(Block(Proto.TCP, sandbox, outside, 1), 1.0)


def test_accounting_is_switched_on(wire: Wire) -> None:
    """Conntrack counts packets once the ruleset is in force, as the sample needs."""
    wire.run("g", "sysctl", "-qw", "net.netfilter.nf_conntrack_acct=0")
    with wire.inside("g"):
        kernel = Kernel(SPEC)
        kernel.apply()
        kernel.remove()
    assert wire.run("g", "sysctl", "-n", "net.netfilter.nf_conntrack_acct") == "1\n"


def test_fate_of_a_flow_older_than_accounting(wire: Wire, gateway: Gateway) -> None:
    """A flow that conntrack never counted is sampled from its first cleared packet."""
    wire.run("g", "sysctl", "-qw", "net.netfilter.nf_conntrack_acct=0")
    flow = wire.connect(wire.listen(FOUR, 443))
    flow.client.sendall(b"benign")
    gateway.judge(Fate.CLEAR)
    flow.client.sendall(b"bytes")
    assert flow.server.recv(6) == b"benign"
    assert flow.server.recv(6)
    assert gateway.packets("sampled") == 1


def test_another_gateway_takes_the_queue_over(
    wire: Wire, gateway: Gateway, ends: Addresses
) -> None:
    """What waits for the old one's verdict gets it, what comes goes to the new; the sets stay."""
    flow = wire.connect(wire.listen(ends, 443), ends)
    sandbox, outside = ends.packed
    gateway.sets.block(Block(Proto.TCP, sandbox, outside, 4444), 60)
    flow.client.sendall(b"before")
    with wire.inside("g"), NfQueue(7) as other:
        while not gateway.queue.counters().waiting:
            time.sleep(0.01)
        new = Kernel(replace(SPEC, first_queue=7))
        assert new.layout == gateway.kernel.layout
        new.renew()
        gateway.judge(Fate.ACCEPT)
        assert flow.server.recv(100) == b"before"
        flow.client.sendall(b"after")
        while not (found := other.receive(2.0))[-1].captured.endswith(b"after"):
            pass  # it says b"before" again where it waited for long
        other.verdict(found[-1].packet_id, Fate.ACCEPT, found[-1].mark)
        other.flush()
        assert flow.server.recv(100) == b"after"
        assert [one.block.resp_port for one in gateway.sets.blocked()] == [4444]
    assert len([line for line in left_behind(wire) if "NFQUEUE" in line]) == 8


def test_rules_that_are_reclaimed_are_put_in_force_whatever_stands_there(wire: Wire) -> None:
    """After a takeover that broke off they may be another's, which looks like ours."""
    with wire.inside("g"):
        kernel = Kernel(SPEC)
        kernel.apply()
        kernel.leave()
        assert not kernel.restore()
        kernel.reclaim()
        assert kernel.applied_at == 0
        assert kernel.restore()
        assert kernel.applied_at > 0
        assert not kernel.restore()
        kernel.remove()


def test_others_rules_may_have_any_comment(wire: Wire) -> None:
    """Comments are bytes; a program that cannot be started is an error of ours."""
    odd = ("-t", "mangle", "-A", "OUTPUT", "-m", "comment", "--comment", os.fsdecode(b"caf\xe9"))
    wire.run("g", "iptables", "-w", *odd, "-j", "ACCEPT")
    with wire.inside("g"):
        kernel = Kernel(SPEC)
        kernel.apply()
        assert not kernel.restore()
        kernel.remove()
    with pytest.raises(KernelError, match="cannot be started"):
        programs.run(("/",))
