"""ROCK as a source: a server that answers JSON.GET as RedisJSON does, beside a real store."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.attribution.sources.watched import Watched

from davylamp.attribution.model import Binding, Grade
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.sources.rock import RockSource
from davylamp.attribution.store import Store
from davylamp.errors import ConfigError


class _Session(socketserver.StreamRequestHandler):
    """One connection: arrays of bulk strings in, RESP2 out (https://redis.io/docs/latest/)."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = [self._bulk() for _ in range(int(line[1:]))]
            self.wfile.write(self._answer(words))

    def _bulk(self) -> str:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2].decode()

    def _answer(self, words: list[str]) -> bytes:
        records: dict[str, Any] = self.server.records  # type: ignore[attr-defined]
        if words[0] != "JSON.GET":
            return b"+OK\r\n"
        self.server.asked.update(words[2:])  # type: ignore[attr-defined]
        found = records.get(words[1])
        if found is None:
            return b"$-1\r\n"
        if isinstance(found, bytes):
            text = found
        else:
            members = {path: [found[path[2:]]] if path[2:] in found else [] for path in words[2:]}
            text = json.dumps(members).encode()
        return b"$%d\r\n%s\r\n" % (len(text), text)


@contextmanager
def rock(records: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Run ROCK's Redis; yield its URL, and the paths that it is asked for."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Session) as server:
        server.daemon_threads = True
        asked: set[str] = set()
        server.records, server.asked = records, asked  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"redis://127.0.0.1:{server.server_address[1]}/0", asked
        server.shutdown()


def hold(
    ip: str, container: str, grade: Grade = Grade.OBSERVED, experiment_id: str = ""
) -> Binding:
    """Return a bind as an engine, or a trainer, makes it."""
    seen, started = grade is Grade.OBSERVED, time.time() - 5
    return Binding(
        ip=ip,
        lifecycle_id=f"{container}-id@{started}" if seen else "",
        container=container,
        valid_from=started,
        grade=grade,
        source="docker" if seen else "trainer",
        experiment_id=experiment_id,
    )


def test_what_rock_knows_is_added_to_what_the_engine_saw(
    server: EmbeddedRedis, store: Store
) -> None:
    """Also late, and never in place of a trainer's word; hostile records do no harm."""
    records: dict[str, Any] = {
        "alive:one": {"experiment_id": "exp-1", "user_id": "ada", "auth_token": "secret"},
        "alive:two": {"experiment_id": "rocks-own", "namespace": "train"},
        "alive:bad": b"\xff[1",
        "alive:odd": {"experiment_id": "x\x1b[31m" + "y" * 9000, "user_id": 7},
    }
    bind, now = store.operations.bind, time.time()
    for number, name in enumerate(("one", "two", "bad", "odd", "late", "other"), 1):
        store.run(bind(hold(f"10.2.0.{number}", name), now))
    store.run(bind(hold("10.2.0.2", "two", Grade.BOUND, experiment_id="trainers"), now))
    store.run(bind(hold("10.2.0.9", "one", Grade.BOUND), now))  # no engine saw that one
    with rock(records) as (url, asked), Watched(server.url, lambda: RockSource(url, pause=0.05)):

        def said(ip: str) -> Binding:
            current = store.run(store.operations.history(ip)).current
            assert current is not None
            return current

        def until(ip: str, label: str) -> Binding:
            deadline = time.monotonic() + 20
            while label not in said(ip).labels and time.monotonic() < deadline:
                time.sleep(0.02)
            return said(ip)

        one, two, odd = (until(f"10.2.0.{n}", "rock.experiment_id") for n in (1, 2, 4))
        records["alive:late"] = {"experiment_id": "exp-9"}
        late = until("10.2.0.5", "rock.experiment_id")
    assert (one.experiment_id, one.labels["rock.user_id"]) == ("exp-1", "ada")
    assert one.container == "one"
    assert (two.experiment_id, two.labels["rock.experiment_id"]) == ("trainers", "rocks-own")
    assert odd.labels["rock.experiment_id"].startswith("x[31my")
    assert late.experiment_id == "exp-9"
    assert not {"rock.experiment_id"} & (said("10.2.0.3").labels.keys() | said("10.2.0.6").labels)
    assert "rock.experiment_id" not in said("10.2.0.9").labels
    assert asked == {"$.experiment_id", "$.user_id", "$.namespace"}
    assert len(store.run(store.operations.history("10.2.0.2")).bindings) == 1


def test_an_address_that_is_none_is_refused() -> None:
    """With the key that says it."""
    with pytest.raises(ConfigError, match=r"lineage\.sources\.rock\.url"):
        RockSource("http://rock")
