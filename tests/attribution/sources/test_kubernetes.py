"""Pods as a source: list and watch against a server that compacts, pages, cuts and goes away."""

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.attribution.sources.kube_peer import TOKEN, KubePeer
from tests.attribution.sources.watched import Watched

from davylamp.attribution.model import Grade
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.sources.kubernetes import KubernetesSettings, KubernetesSource
from davylamp.engines.kubernetes import KubernetesApi

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def peer() -> Iterator[KubePeer]:
    """Run an API server."""
    with KubePeer() as running:
        yield running


def watch(peer: KubePeer, server: EmbeddedRedis, directory: Path) -> Watched:
    """Follow it."""
    (directory / "token").write_text(f"{TOKEN}\n")

    def make() -> KubernetesSource:
        api = KubernetesApi(peer.url, token_file=str(directory / "token"), ca="", seconds=5.0)
        settings = KubernetesSettings("train", names={"experiment_id": "example.com/exp"})
        return KubernetesSource(api, peer.url, settings)

    return Watched(server.url, make)


def test_the_right_pod_is_named_whatever_the_server_does(
    peer: KubePeer, server: EmbeddedRedis, tmp_path: Path
) -> None:
    """Names and addresses come again, watches end, history is compacted: none is named wrongly."""
    chance = random.Random(7)
    names = [f"sandbox-{number}" for number in range(8)]
    free = [f"10.1.0.{number}" for number in range(1, 12)]
    held: dict[str, tuple[str, str]] = {}
    asked: list[tuple[str, float, str, str]] = []
    with watch(peer, server, tmp_path) as watched:
        for number in range(300):
            name = chance.choice(names)
            if name in held:
                ip, _ = held.pop(name)
                if chance.random() < 0.3:  # it ends, and is deleted only later
                    peer.put(name, _uid(peer, name), ip, phase="Succeeded")
                peer.delete(name)
                free.append(ip)
            else:
                ip, run = free.pop(-1), f"run-{number}"
                held[name] = (ip, run)
                peer.put(name, f"uid-{number}", ip, labels={"davylamp.run_id": run})
            match chance.random():
                case luck if luck < 0.1:
                    peer.compact()
                case luck if luck < 0.2:
                    peer.cut()
                case _:
                    pass
            if number % 4 == 3:
                for each, (ip, run) in held.items():
                    watched.wait(partial(_has_run, watched, ip, run), 8)
                    asked.append((ip, time.time(), each, run))
        for ip, at, name, run in asked:
            found = watched.ask(ip, at)
            assert found.grade is Grade.OBSERVED
            assert found.binding is not None
            assert (found.binding.container, found.binding.run_id) == (name, run)
        for ip in free:
            watched.expect(ip, "")
    assert peer.gone >= 2
    assert peer.lists > peer.gone


def _uid(peer: KubePeer, name: str) -> str:
    return str(peer.pods[name]["metadata"]["uid"])


def _has_run(watched: Watched, ip: str, run: str) -> bool:
    found = watched.table.attribute(ip, watched.table.fresh_at)
    return found.binding is not None and found.grade.certain() and found.binding.run_id == run


def test_what_a_pod_carries_is_told_and_what_ended_unseen_is_released(
    peer: KubePeer, server: EmbeddedRedis, tmp_path: Path
) -> None:
    """Labels, annotations, environment, both families; not the node's address; a new uid is new."""
    peer.put(
        "rich",
        "uid-1",
        "10.1.0.1",
        "fd00::1",
        labels={"davylamp.rollout_id": "r-1", "app": "x"},
        annotations={"davylamp.step": "7", "example.com/exp": "e-1", "other": "y" * 9000},
        env={"TRACEPARENT": TRACE},
    )
    peer.put("on-the-node", "uid-2", "10.1.0.2", spec={"hostNetwork": True})
    for number in range(3, 8):
        peer.put(f"more-{number}", f"uid-{number}", f"10.1.0.{number}")
    with watch(peer, server, tmp_path) as watched:
        for ip in ("10.1.0.1", "fd00::1"):
            watched.expect(ip, "rich")
            found = watched.ask(ip, time.time()).binding
            assert found is not None
            assert (found.container_id, found.image, found.step) == ("uid-1", "img", 7)
            assert (found.rollout_id, found.experiment_id) == ("r-1", "e-1")
            assert found.traceparent == TRACE
            assert "other" not in found.labels
        watched.expect("10.1.0.7", "more-7")
        assert watched.holder("10.1.0.2") == ""
        # The server is away, and says nothing of what happens meanwhile.
        peer.away = True
        peer.cut()
        watched.wait(lambda: watched.connections() == 0)
        peer.delete("rich")
        peer.put("rich", "uid-9", "10.1.0.9")
        peer.compact()
        peer.away = False
        watched.expect("10.1.0.9", "rich")
        watched.expect("10.1.0.1", "")
        peer.put("more-3", "uid-3", "10.1.0.3", phase="Failed")
        watched.expect("10.1.0.3", "")
    peer.delete("more-4")
    with watch(peer, server, tmp_path) as again:
        again.expect("10.1.0.4", "")
        again.expect("10.1.0.5", "more-5")
