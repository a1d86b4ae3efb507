"""Which addresses a lifecycle holds now, asked of the store."""

from davylamp.attribution.model import routable
from davylamp.attribution.store import AsyncStore
from davylamp.errors import ActionRefused


async def addresses_held(store: AsyncStore, lifecycle_id: str) -> tuple[str, ...]:
    """Return the addresses that a lifecycle holds and that packets show.

    Raises ActionRefused where there is none.
    """
    held: list[str] = []
    for ip in await store.run(store.operations.addresses_of(lifecycle_id)):
        current = (await store.run(store.operations.history(ip))).current
        if current is not None and lifecycle_id in current.lifecycles:
            held.append(ip)
    if not held:
        raise ActionRefused("it has no address any more")
    seen = tuple(filter(routable, held))
    if not seen:
        host = held[0].partition("/")[0]
        raise ActionRefused(f"its address shows on {host} alone, so only a gateway there could")
    return seen
