"""Until the other has the place, the gateway at work answers for everything."""

import asyncio
from pathlib import Path

import pytest

from davylamp.errors import KernelError
from davylamp.takeover import handing
from davylamp.takeover.handing import HandingOver
from davylamp.takeover.taking import TakingOver, find
from davylamp.takeover.words import Here, Seat, Word, encode

HERE = Here(
    version="1", seat=Seat(queues=(40, 41), sample_group=40, table="t", mark_shift=24), layout="a"
)


class Rules:
    """Rules that only note what is done to them."""

    def __init__(self, layout: str = "a", *, refuses: int = 0) -> None:
        self.layout = layout
        self.done: list[str] = []
        self._refuses = refuses

    def apply(self) -> None:
        """Note it, or refuse."""
        self._note("apply")

    def renew(self) -> None:
        """Note it, or refuse."""
        self._note("renew")

    def leave(self) -> None:
        """Note it."""
        self.done.append("leave")

    def reclaim(self) -> None:
        """Note it."""
        self.done.append("reclaim")

    def _note(self, what: str) -> None:
        if self._refuses:
            self._refuses -= 1
            raise KernelError("refused")
        self.done.append(what)


def play(folder: Path, old: Rules, meet: object, *, waits: bool = True) -> HandingOver:
    """Have ``meet`` talk to a gateway that waits for a successor; return that gateway's side."""

    async def run() -> HandingOver:
        taken = asyncio.Event()
        elder = HandingOver(folder / "run" / "gateway.sock", HERE, old, lambda _: taken.set())
        async with elder.listening():
            assert callable(meet)
            talking = asyncio.create_task(asyncio.to_thread(meet, folder / "run" / "gateway.sock"))
            if waits:
                await asyncio.wait_for(taken.wait(), 10)
            else:
                await talking
                async with asyncio.timeout(10):
                    while len(old.done) < 2:  # noqa: ASYNC110 - nothing tells of it
                        await asyncio.sleep(0.01)
        elder.release()
        await talking
        return elder

    return asyncio.run(run())


def found(path: Path) -> TakingOver:
    """Return the gateway that listens there."""
    elder = find(path)
    assert elder is not None
    return elder


@pytest.mark.parametrize(("layout", "way"), [("a", "renew"), ("b", "apply")])
def test_rules_go_over_the_others(tmp_path: Path, layout: str, way: str) -> None:
    """They are renewed where the sets are laid out alike, and else put in their place."""
    old, new = Rules(), Rules(layout)

    def meet(path: Path) -> None:
        elder = found(path)
        assert elder.here == HERE
        elder.take(new, HERE)
        elder.wait_released()

    assert play(tmp_path, old, meet).taken
    assert (old.done, new.done) == (["leave"], [way])


@pytest.mark.parametrize("refuses", [0, 1, 5])
def test_a_death_amid_the_swap_brings_the_old_rules_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: int
) -> None:
    """The old gateway puts its own in, whole if the first try fails, and is the gateway still."""
    monkeypatch.setattr(handing, "_PAUSE_SECONDS", 0.01)
    old = Rules(refuses=refuses)

    def meet(path: Path) -> None:
        elder = found(path)
        with pytest.raises(KernelError):
            elder.take(Rules(refuses=1), HERE)
        elder.close()

    assert not play(tmp_path, old, meet, waits=False).taken
    last = "renew" if not refuses else "apply" if refuses < 5 else "reclaim"
    assert old.done == ["leave", last]


def test_one_that_lives_and_does_not_let_go_is_the_gateway(tmp_path: Path) -> None:
    """A conversation that breaks off while the other process lives is no takeover."""
    path = tmp_path / "gateway.sock"

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(encode(Word.HERE, HERE))
        await reader.readline()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_unix_server(meet, path):
            elder = await asyncio.to_thread(found, path)
            rules = Rules()
            with pytest.raises(KernelError, match="does not let go"):
                await asyncio.to_thread(elder.take, rules, HERE)
            assert rules.done == []
            elder.close()

    asyncio.run(run())


@pytest.mark.parametrize("said", [b"", b"220 smtp\n", encode(Word.GO), encode(Word.HERE)])
def test_who_says_something_else_is_nobody(tmp_path: Path, said: bytes) -> None:
    """A gateway that is none, or of a version with other words, is passed over."""
    path = tmp_path / "gateway.sock"

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_unix_server(meet, path):
            assert await asyncio.to_thread(find, path) is None

    asyncio.run(run())


def test_a_socket_left_behind_is_nobody(tmp_path: Path) -> None:
    """Neither where nothing is, nor where a killed gateway's socket is."""
    path = tmp_path / "gateway.sock"
    assert find(path) is None
    path.touch()
    assert find(path) is None
