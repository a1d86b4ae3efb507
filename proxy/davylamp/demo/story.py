"""The story, act by act: plain forwarding, the gateway, honest work, the tool call, the outcome."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from davylamp.attribution.store import Store
from davylamp.demo import benign, realminer
from davylamp.demo.results import WALLET, Actor, Attempt, Moment, Results, Throughput
from davylamp.demo.stage import POOL_NAME, POOL_TLS_PORT, ZONE, Stage, set_up
from davylamp.events import AlertEvent
from davylamp.lab import Lab, LabSpec
from davylamp.lab.service import Line, Service, run_program
from davylamp.lineage import Client

_MEASURED_BYTES = 300_000_000
_MEASURED_TIMES = 3
_MINER_SECONDS = 8.0
_CONTAINERS = ("rollout-0017-a", "rollout-0017-b", "rollout-0017-c")
_CALL = "call_8f3a"

type Say = Callable[[str], None]


def play(name: str, work: Path, say: Say) -> Results:
    """Play the whole demonstration in a lab called ``name``; files go under ``work``."""
    results = Results(expected_call=_CALL, expected_container=_CONTAINERS[0])
    say("building the lab: three sandboxes, a gateway, an outside world with a pool")
    with Lab.create(LabSpec(name, zone=ZONE)) as lab, set_up(lab, work) as stage:
        say("measuring plain forwarding, before the gateway is there")
        benign.download(stage, _MEASURED_BYTES)  # the first is slower than the others
        without = _rates(stage)
        say("starting the gateway")
        with stage.gateway, Client(stage.gateway.lineage_url) as trainer:
            say("measuring again, through the gateway")
            results.throughput = Throughput(_MEASURED_BYTES, without, _rates(stage))
            _bind(lab, trainer, results)
            say("honest work starts in two sandboxes; in the third a tool call starts a miner")
            with ThreadPoolExecutor(8) as pool:
                waiting = benign.start(stage, work, pool)
                _tool_call(stage, trainer, results)
                results.benign = [future.result() for future in waiting]
            say("gathering what was seen")
            _gather(stage, results)
    results.timeline.sort(key=lambda moment: moment.at)
    return results


def _rates(stage: Stage) -> tuple[float, ...]:
    return tuple(benign.download(stage, _MEASURED_BYTES)[1] for _ in range(_MEASURED_TIMES))


def _bind(lab: Lab, trainer: Client, results: Results) -> None:
    for host, container in zip(lab.sandboxes, _CONTAINERS, strict=True):
        for address in (host.ipv4, host.ipv6):
            trainer.bind(
                ip=address,
                container=container,
                lifecycle_id=f"{container}@demo",
                image="swe-agent:2026.11",
                experiment_id="exp-coding-rl",
                run_id="run-2026-11-23-a",
                rollout_id="rollout-0017",
                trajectory_id=f"traj-{container[-1]}",
            )
    _note(results, Actor.TRAINER, "bound three containers to run-2026-11-23-a, rollout-0017")


def _tool_call(stage: Stage, trainer: Client, results: Results) -> None:
    with trainer.tool_call(
        container=_CONTAINERS[0],
        tool="bash",
        tool_call_id=_CALL,
        step=42,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ):
        _note(results, Actor.TRAINER, f"tool call {_CALL} (bash, step 42) in {_CONTAINERS[0]}")
        for title, arguments in (
            ("plaintext Stratum, port 3333", ["--pool", "pool.example:3333", *_STRATUM]),
            ("again, same endpoint", ["--pool", "pool.example:3333", *_STRATUM]),
            ("CryptoNote, port 443", ["--pool", "pool.example:443", *_CRYPTONOTE]),
            ("TLS with the pool's SNI", [*_TLS, *_CRYPTONOTE]),
        ):
            _attempt(stage, results, title, arguments)
        real = realminer.attempt(stage, "pool.example:3333")
        if real is not None:
            results.attempts.append(real)
    _note(results, Actor.TRAINER, f"tool call {_CALL} returned")


_STRATUM = ["--dialect", "stratum", "--user", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq.rig0"]
_CRYPTONOTE = ["--dialect", "cryptonote", "--user", WALLET]
_TLS = ["--pool", f"stratum+ssl://{POOL_NAME}:{POOL_TLS_PORT}", "--sni", POOL_NAME]


def _attempt(stage: Stage, results: Results, title: str, arguments: list[str]) -> None:
    offset = time.time() - time.monotonic()
    done = run_program(
        stage.lab,
        "sandbox-1",
        "miner",
        [*arguments, "--attempts", "1", "--seconds", str(_MINER_SECONDS)],
        _MINER_SECONDS + 10,
    )
    for line in done.events("connecting")[:1]:
        results.timeline.append(
            Moment(line["monotonic"] + offset, Actor.SANDBOX, f"miner: {title}")
        )
    attempt = _outcome(title, done)
    results.attempts.append(attempt)
    for line in done.lines:
        if line.get("event") in ("reset", "refused"):
            text = f"miner: {line['event']}, {attempt.when}"
            results.timeline.append(Moment(line["monotonic"] + offset, Actor.SANDBOX, text))


def _outcome(title: str, done: Service) -> Attempt:
    ending: Line = {"outcomes": ["timed_out"], "shares_accepted": 0}
    summary = next(iter(done.events("summary")), ending)
    outcome = (summary["outcomes"] or ["timed_out"])[0]
    sent, reset = done.events("sent"), done.events("reset")
    if sent and reset:
        after = reset[0]["monotonic"] - sent[-1]["monotonic"]
        return Attempt(
            title,
            outcome,
            summary["shares_accepted"],
            after,
            f"{after * 1000:.1f} ms after its request",
        )
    # Without TLS a miner that was connected has sent something.
    when = "in the TLS handshake" if reset else "before it was connected"
    return Attempt(title, outcome, summary["shares_accepted"], when=when)


def _gather(stage: Stage, results: Results) -> None:
    results.alerts = [
        alert
        for alert in stage.gateway.wait_alerts(lambda alerts: len(_flows(alerts)) >= 3)
        if alert.alert.category in ("mining", "pool")
    ]
    for alert in results.alerts:
        results.timeline.append(Moment(_epoch(alert), Actor.DAVYLAMP, _headline(alert)))
    summary = json.loads(stage.pool_summary.read_text())
    results.pool_connections = summary["connections"]
    results.pool_bytes = summary["bytes_received"]
    results.pool_requests = summary["complete_requests"]
    results.pool_shares = summary["shares_accepted"]
    results.tagged = _tagged(stage)


def _flows(alerts: list[AlertEvent]) -> set[int]:
    return {alert.flow_id for alert in alerts if alert.verdict.action == "reject"}


def _tagged(stage: Stage) -> bool:
    """Ask Redis, as `davylamp lineage show` does, whether the container carries the incident."""
    deadline = time.monotonic() + 5
    with Store(stage.gateway.lineage_url) as store:
        while time.monotonic() < deadline:
            dossier = store.run(store.operations.look_up(_CONTAINERS[0]))
            if dossier is not None and dossier.incidents:
                return True
            time.sleep(0.1)
    return False


def _note(results: Results, actor: Actor, text: str) -> None:
    results.timeline.append(Moment(time.time(), actor, text))


def _epoch(alert: AlertEvent) -> float:
    return datetime.fromisoformat(alert.timestamp).timestamp()


def _headline(alert: AlertEvent) -> str:
    dialect = alert.mining.dialect if alert.mining is not None else alert.app_proto
    return (
        f"{alert.verdict.action}: {alert.alert.signature} ({dialect}) to "
        f"{alert.dest_ip}:{alert.dest_port}"
    )
