"""What the watch says of rules that cannot be put back; that they can is tested on the wire."""

import asyncio
import contextlib
import logging

import pytest

from davylamp import rulewatch
from davylamp.enforcement.kernel import Kernel
from davylamp.errors import KernelError
from davylamp.rulewatch import RuleWatch


class Refusing(Kernel):
    """A kernel that does as a list says: a refusal, or whether rules had to be put back."""

    def __init__(self, *answers: str | bool) -> None:
        self.answers = list(answers)
        self.thorough: list[bool] = []

    def restore(self, *, thorough: bool = True) -> bool:
        """Answer the next one; at the end go on with the last."""
        self.thorough.append(thorough)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise KernelError(answer)
        return answer


def test_what_the_kernel_forgot_is_told_again_where_rules_were_taken_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A firewall that is loaded again flushes at its end and at its start; the watch goes on."""
    monkeypatch.setattr(rulewatch, "_LOOK_SECONDS", 0.001)
    kernel = Refusing(True, True, False)
    told: list[int] = []

    def tell() -> None:
        told.append(watch.restored)
        if len(told) < 3:
            raise KernelError("the table is gone")

    watch = RuleWatch(kernel, tell)

    async def play() -> None:
        running = asyncio.create_task(watch.run())
        while len(kernel.thorough) < 8:  # noqa: ASYNC110 - what the watch does is all there is
            await asyncio.sleep(0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(play())
    assert (told, watch.restored, watch.problem) == ([1, 2, 2], 2, "")


def test_a_refusal_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as it lasts it is the gateway's problem; the rest is done when the rules are back."""
    monkeypatch.setattr(rulewatch, "_LOOK_SECONDS", 0.001)
    kernel = Refusing(False, "no memory", "no memory", "no memory", True, False)
    problems: list[str] = []
    told: list[str] = []
    watch = RuleWatch(kernel, lambda: told.append(watch.problem))

    async def play() -> None:
        running = asyncio.create_task(watch.run())
        while not watch.restored or len(kernel.thorough) < 20:
            problems.append(watch.problem)
            await asyncio.sleep(0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    with caplog.at_level(logging.ERROR):
        asyncio.run(play())
    assert set(problems) == {"", "the rules are not in force: no memory"}
    assert (watch.problem, watch.restored, told) == ("", 1, [""])
    said = [one.getMessage() for one in caplog.records if one.name == rulewatch.__name__]
    assert [one.partition(",")[0] for one in said] == [
        "the rules are not in force: no memory",
        "somebody else took the rules out",
    ]
    assert kernel.thorough[:20] == [number % 10 == 9 for number in range(20)]
