"""Which queues, log group and ports a gateway takes beside one that is at work. Pure."""

import msgspec

from davylamp.config import GatewayConfig
from davylamp.errors import ConfigError
from davylamp.takeover.words import Seat


def seat_of(config: GatewayConfig) -> Seat:
    """Return what a gateway with this configuration holds in the kernel."""
    queues, intercept, rules = config.queues, config.intercept, config.rules
    ports = (intercept.first_port, intercept.first_port + intercept.workers - 1)
    return Seat(
        queues=(queues.first, queues.first + queues.workers - 1),
        sample_group=rules.sample_group,
        ports=ports if intercept.enabled else None,
        table=rules.table,
        mark_shift=rules.mark_shift,
    )


def beside(config: GatewayConfig, taken: Seat) -> GatewayConfig:
    """Return a configuration with numbers that the other does not use, its own where it can.

    They are those right behind the other's, so the next takeover comes back to the first. Raises
    ConfigError where the two could not follow each other in one table.
    """
    rules, queues, intercept = config.rules, config.queues, config.intercept
    if (rules.table, rules.mark_shift) != (taken.table, taken.mark_shift):
        raise ConfigError(
            f"rules.table and rules.mark_shift are {taken.table} and {taken.mark_shift} in the "
            "gateway at work: a takeover cannot change them, a restart can"
        )
    first = _free(queues.first, queues.workers, taken.queues)
    group = _free(rules.sample_group, 1, (taken.sample_group, taken.sample_group))
    port = _free(intercept.first_port, intercept.workers, taken.ports)
    return msgspec.structs.replace(
        config,
        queues=msgspec.structs.replace(queues, first=first),
        rules=msgspec.structs.replace(rules, sample_group=group),
        intercept=msgspec.structs.replace(intercept, first_port=port),
    )


def _free(first: int, count: int, taken: tuple[int, int] | None) -> int:
    if taken is None or first > taken[1] or first + count - 1 < taken[0]:
        return first
    return taken[1] + 1
