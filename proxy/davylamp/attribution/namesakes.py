"""Which containers of one name ran at one time.

A name is a container's own on one engine and in one namespace only. Lineage follows several, so of
a name alone it may not be known which container is meant. Only what runtimes see counts here: a
trainer need not say when a container has ended.
"""

from dataclasses import dataclass
from itertools import batched

from davylamp.attribution import model
from davylamp.attribution.claims import claims_of
from davylamp.attribution.model import Binding, Grade
from davylamp.attribution.operation import Kept, Operation
from davylamp.attribution.replies import readable, text

_BATCH = 256


@dataclass(frozen=True, slots=True)
class NamesakeOperations(Kept):
    """Reads of what goes by one name."""

    def namesakes(self, container: str, at: float) -> Operation[frozenset[str]]:
        """Return the ids of all containers of that name that were seen to run at that time.

        Where no more than one start of that name is on record, none is looked for.
        """
        by_name = self.keys.lifecycles(container)
        limit = (0, self.keep.lifecycles)
        [names] = yield (("ZREVRANGEBYSCORE", by_name, repr(at), "-inf", "LIMIT", *limit),)
        if len(names) < 2:
            return frozenset()
        lifecycles = {text(name) for name in names}
        replies = yield [("SMEMBERS", self.keys.lifecycle_addresses(each)) for each in lifecycles]
        addresses = sorted({text(ip) for some in replies for ip in some})
        holds = yield from self._holds_at(addresses, at)
        return frozenset(
            container_id
            for each in holds
            if not lifecycles.isdisjoint(each.lifecycles) and (container_id := _seen_id(each))
        )

    def _holds_at(self, addresses: list[str], at: float) -> Operation[list[Binding]]:
        """Return who held these addresses then, without reading whole histories."""
        found: list[Binding] = []
        for some in batched(addresses, _BATCH):
            past = ("-inf", "LIMIT", 0, 1)
            now = yield [("GET", self.keys.current(ip)) for ip in some]
            then = yield [("ZREVRANGEBYSCORE", self.keys.past(ip), repr(at), *past) for ip in some]
            raws = [*now, *(raw for each in then for raw in each)]
            found += [each for each in readable(raws, model.decode_binding) if each.covers(at)]
        return found


def _seen_id(hold: Binding) -> str:
    """Return the container id that a runtime tells of a hold, or ''."""
    seen = (each.container_id for each in claims_of(hold) if each.grade is Grade.OBSERVED)
    return next(filter(None, seen), "")
