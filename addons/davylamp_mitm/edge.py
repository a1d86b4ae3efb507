"""The edge of every hook: what raises must not fail open."""

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from davylamp_mitm.lamp import Lamp, Subject


class Addon(Protocol):
    """An addon that has a lamp."""

    lamp: "Lamp"


def guarded[A: Addon, S: "Subject"](hook: Callable[[A, S], None]) -> Callable[[A, S], None]:
    """Return the hook with its exceptions handed to the lamp, which carries out their policy.

    mitmproxy logs an exception of an addon and goes on with the flow as if nothing had been.
    """

    @functools.wraps(hook)
    def edge(addon: A, subject: S) -> None:
        try:
            hook(addon, subject)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not become a way through
            addon.lamp.failed(hook.__name__, subject, error)

    return edge


def guarded_async[A: Addon, S: "Subject"](
    hook: Callable[[A, S], Awaitable[None]],
) -> Callable[[A, S], Awaitable[None]]:
    """Return a hook that mitmproxy waits for, guarded likewise."""

    @functools.wraps(hook)
    async def edge(addon: A, subject: S) -> None:
        try:
            await hook(addon, subject)
        except Exception as error:  # noqa: BLE001 - as above
            addon.lamp.failed(hook.__name__, subject, error)

    return edge
