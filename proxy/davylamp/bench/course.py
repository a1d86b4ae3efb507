"""The course of one run: a lab, the two ways in turns, and what the kernel counted meanwhile."""

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

from davylamp.bench.load import CONNECTIONS, BulkLoad, WebLoad, prepare
from davylamp.bench.measure import Comparison, Effort, Metric, Plan, Report, Way
from davylamp.bench.output import Requests
from davylamp.errors import KernelError
from davylamp.lab import Lab, LabSpec
from davylamp.lab.gateway import LabGateway
from davylamp.lab.topology import GATEWAY

_LATENCY_SECONDS = 1
_WARM_UP_SECONDS = 1

type Say = Callable[[str], None]


class Course:
    """One run in one lab; figures gather by metric and way."""

    def __init__(self, lab: Lab, bulk: BulkLoad, web: WebLoad, plan: Plan) -> None:
        self._lab = lab
        self._bulk = bulk
        self._web = web
        self._plan = plan
        self._figures: dict[Metric, dict[Way, list[float]]] = {
            metric: {way: [] for way in Way} for metric in Metric
        }
        self._failed = dict.fromkeys(Way, 0)
        self._bulk_effort = Effort()
        self._connection_effort = Effort()

    def warm_up(self) -> None:
        """Have every program and path used once, and counted nowhere."""
        self._bulk.run(upload=True, seconds=_WARM_UP_SECONDS)
        self._web.run(connections=CONNECTIONS, seconds=_WARM_UP_SECONDS)

    def turn(self, way: Way) -> None:
        """Measure every metric once; the road must already be that way."""
        seconds = self._plan.seconds
        before = self._counters(way)
        for metric, upload in ((Metric.UPLOAD, True), (Metric.DOWNLOAD, False)):
            moved = self._bulk.run(upload=upload, seconds=seconds)
            self._figures[metric][way].append(moved.rate)
            self._bulk_effort = self._bulk_effort.plus(Effort(moved.size * (way is Way.GATEWAY)))
        between = self._counters(way)
        self._bulk_effort = self._bulk_effort.plus(_difference(before, between))
        busy = self._requests(way, CONNECTIONS, seconds)
        self._figures[Metric.CONNECTIONS][way].append(busy.rate)
        alone = self._requests(way, 1, _LATENCY_SECONDS)
        self._figures[Metric.LATENCY_P50][way].append(alone.p50)
        self._figures[Metric.LATENCY_P99][way].append(alone.p99)
        if way is Way.GATEWAY:
            made = Effort(busy.count + alone.count).plus(_difference(between, self._counters(way)))
            self._connection_effort = self._connection_effort.plus(made)

    def report(self) -> Report:
        """Return what was found."""
        return Report(
            self._plan,
            f"{os.cpu_count()} CPUs, Linux {platform.release()}",
            (f"bulk by {self._bulk.name}", f"connections by {self._web.name}"),
            tuple(
                Comparison(metric, tuple(ways[Way.PLAIN]), tuple(ways[Way.GATEWAY]))
                for metric, ways in self._figures.items()
            ),
            self._bulk_effort,
            self._connection_effort,
            self._failed,
        )

    def _requests(self, way: Way, connections: int, seconds: int) -> Requests:
        found = self._web.run(connections=connections, seconds=seconds)
        self._failed[way] += found.failed
        return found

    def _counters(self, way: Way) -> dict[str, int]:
        """Return the gateway's nft counters of packets; nothing where there is no gateway."""
        if way is Way.PLAIN:
            return {}
        listing = ["nft", "--json", "list", "counters"]
        done = self._lab.run(GATEWAY, listing, capture_output=True, text=True)
        if done.returncode:
            raise KernelError(f"the gateway's counters cannot be read: {done.stderr.strip()}")
        listed = (one["counter"] for one in json.loads(done.stdout)["nftables"] if "counter" in one)
        return {counter["name"]: counter["packets"] for counter in listed}


def run(plan: Plan, work: Path, say: Say, *, own_tools: bool = False) -> Report:
    """Build a lab, measure, and take it down; raise KernelError where a part will not work."""
    with Lab.create(LabSpec(f"bench-{os.getpid()}", sandboxes=1)) as lab:
        bulk, web = prepare(lab, work, own_tools=own_tools)
        course = Course(lab, bulk, web, plan)
        course.warm_up()
        queues = {} if plan.workers is None else {"queues": {"workers": plan.workers}}
        gateway = LabGateway(lab, work / "gateway", **queues)
        running = False
        for number, way in enumerate(plan.order()):
            if running and way is Way.PLAIN:
                _stop(lab, gateway)
            elif not running and way is Way.GATEWAY:
                gateway.start()
            running = way is Way.GATEWAY
            say(f"round {number // 2 + 1} of {plan.rounds}: {way}")
            course.turn(way)
        if running:
            _stop(lab, gateway)
        return course.report()


def _stop(lab: Lab, gateway: LabGateway) -> None:
    """End the gateway, and leave the kernel without a rule that would keep conntrack at work."""
    if gateway.stop() != 0:
        raise KernelError(f"the gateway did not end in order:\n{gateway.log()}")
    lab.run(GATEWAY, ["nft", "flush", "ruleset"])


def _difference(before: dict[str, int], after: dict[str, int]) -> Effort:
    def grown(name: str) -> int:
        return after.get(name, 0) - before.get(name, 0)

    return Effort(
        queued=grown("queued"),
        triggered=grown("triggered"),
        sampled=grown("sampled"),
    )
