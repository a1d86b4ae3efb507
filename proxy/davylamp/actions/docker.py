"""What is done to a container by its Docker engine: paused, stopped, taken off its networks.

Names and even container ids come round again. Before anything is done, the container must be the
one that the lifecycle is of: no other lifecycle may have its name by now, and it must not have been
started since the alert, for then it was another start of it that was alerted on.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from davylamp.actions.executor import Done
from davylamp.actions.model import Kind, Planned, Record
from davylamp.attribution.store import AsyncStore
from davylamp.engines.docker import DockerEngine
from davylamp.engines.docker_model import Attachment, Container, Outcome
from davylamp.errors import ActionRefused, ConfigError, EngineError

_NETWORK = "network "
_GONE, _CONFLICT = "the container or network is gone", "its state does not allow that"
_SKEW = 0.1
"""How far, in seconds, an engine's clock may be from ours."""


class DockerExecutor:
    """Pauses, stops or disconnects containers of one engine."""

    def __init__(self, store: AsyncStore, engine: DockerEngine) -> None:
        self._store = store
        self._engine = engine

    async def do(self, planned: Planned, now: float) -> Done:  # noqa: ARG002 - any executor's
        """Do to the container what was planned."""
        found = await self._found(planned)
        match planned.kind:
            case Kind.DOCKER_PAUSE:
                if found.state.paused:
                    return Done("was paused already")
                return Done(_outcome(await self._engine.pause(found.id), "paused"))
            case Kind.DOCKER_STOP:
                return Done(_outcome(await self._engine.stop(found.id), "stopped"))
            case _:
                return await self._disconnect(found)

    async def undo(self, record: Record, now: float) -> str:  # noqa: ARG002 - any executor's
        """Let the container go on, start it, or put it back onto its networks."""
        planned = record.planned
        found = await self._found(planned)
        match planned.kind:
            case Kind.DOCKER_PAUSE:
                if not found.state.paused:
                    return "was not paused any more"
                return _outcome(await self._engine.unpause(found.id), "goes on")
            case Kind.DOCKER_STOP:
                return _outcome(await self._engine.start(found.id), "started again")
            case _:
                return await self._connect(found, record.memo)

    async def foresee(self, planned: Planned, now: float) -> dict[str, str]:  # noqa: ARG002 - likewise
        """Return on which networks the container is, and by which addresses, if it matters."""
        if planned.kind is not Kind.DOCKER_DISCONNECT:
            return {}
        return _memo(await self._found(planned))

    async def _disconnect(self, found: Container) -> Done:
        async def off(name: str) -> Outcome:
            return await self._engine.disconnect(name, found.id, force=True)

        said = await _each("taken off", found.attachments, off)
        return Done(said or "on no network by now", _memo(found))  # one may have joined since

    async def _connect(self, found: Container, memo: dict[str, str]) -> str:
        networks = {
            key.removeprefix(_NETWORK): raw for key, raw in memo.items() if key.startswith(_NETWORK)
        }

        async def on(name: str) -> Outcome:
            asked = json.loads(networks[name])
            return await self._engine.connect(
                name, found.id, ipv4=asked.get("ipv4", ""), ipv6=asked.get("ipv6", "")
            )

        missing = [name for name in networks if name not in found.attachments]
        return await _each("back on", missing, on) or "back on none: it was on all of them"

    async def _found(self, planned: Planned) -> Container:
        name = planned.container_id or planned.container
        known = self._store.operations
        newest = await self._store.run(known.newest(planned.container))
        ids = await self._store.run(known.names_of(planned.lifecycle_id))
        if newest and newest not in ids:
            raise ActionRefused(f"container {name} is another's by now: {newest}")
        found = await self._engine.inspect(name)
        if found is None:
            raise ActionRefused(f"the engine has no container {name}")
        if datetime.fromisoformat(found.state.started_at).timestamp() > planned.seen + _SKEW:
            raise ActionRefused(f"container {name} has been started anew since")
        return found


async def _each(
    word: str, networks: Iterable[str], change: Callable[[str], Awaitable[Outcome]]
) -> str:
    """Change each network, whatever becomes of the others; return what did, '' for nothing to do.

    What is gone is only told of, if anything else was changed; what is refused makes all of it
    refused. Where the engine fails it is tried again, once all have had their turn.
    """
    done: list[str] = []
    gone: list[str] = []
    refused: list[str] = []
    fault: EngineError | None = None
    for name in networks:
        try:
            outcome = await change(name)
        except EngineError as error:
            fault = error
            continue
        except ConfigError as error:
            refused.append(f"not {name}: {error}")
            continue
        match outcome:
            case Outcome.DONE | Outcome.UNCHANGED:
                done.append(name)
            case Outcome.GONE:
                gone.append(f"not {name}: {_GONE}")
            case Outcome.CONFLICT:
                refused.append(f"not {name}: {_CONFLICT}")
    if fault is not None:
        raise fault
    said = "; ".join([*([f"{word} {', '.join(done)}"] if done else []), *gone, *refused])
    if refused or (gone and not done):
        raise ActionRefused(said)
    return said


def _memo(found: Container) -> dict[str, str]:
    return {f"{_NETWORK}{name}": _fixed(one) for name, one in found.attachments.items()}


def _fixed(attachment: Attachment) -> str:
    """Return which addresses a container had on a network, so that it gets them again."""
    asked = attachment.fixed
    ipv4, ipv6 = (asked.ipv4, asked.ipv6) if asked is not None else ("", "")
    return json.dumps({"ipv4": ipv4 or "", "ipv6": ipv6 or ""})


def _outcome(outcome: Outcome, done: str) -> str:
    match outcome:
        case Outcome.DONE:
            return done
        case Outcome.UNCHANGED:
            return f"{done}, as it was already"
        case Outcome.GONE:
            raise ActionRefused(_GONE)
        case Outcome.CONFLICT:
            raise ActionRefused(_CONFLICT)
