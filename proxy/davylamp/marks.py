"""The four bits of the 32-bit packet and conntrack marks that davylamp writes, and their meaning.

They say what the kernel is to do next; the rest of the mark belongs to others (kube-proxy,
Calico, policy routing) and is carried through untouched. docs/kernel.md lists who uses what.
"""

from dataclasses import dataclass

from davylamp.errors import ConfigError

_WIDTH = 4


@dataclass(frozen=True, slots=True)
class MarkField:
    """Where the field is: ``shift`` counts bits from the least significant one, 0 to 28."""

    shift: int = 24

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 32 - _WIDTH:
            raise ConfigError(f"mark shift {self.shift} is out of range; write 0 to 28")

    @property
    def mask(self) -> int:
        """The field's bits."""
        return 0xF << self.shift

    @property
    def others(self) -> int:
        """Every bit that is not ours."""
        return ~self.mask & 0xFFFFFFFF

    @property
    def queue(self) -> int:
        """Packet mark: hand this packet to NFQUEUE (where nft itself cannot)."""
        return 1 << self.shift

    @property
    def cleared(self) -> int:
        """Conntrack mark: judged clean, the kernel forwards the flow. Packet mark: set that."""
        return 2 << self.shift

    @property
    def rearm(self) -> int:
        """Packet mark: take the flow's cleared mark away again."""
        return 4 << self.shift

    @property
    def trusted(self) -> int:
        """Conntrack mark: cleared, and its first bytes tell nothing. Packet mark: set that."""
        return self.cleared | self.rearm

    @property
    def triggered(self) -> int:
        """Packet mark: queued although its flow is cleared, for its first byte or as a suspect."""
        return 8 << self.shift

    @property
    def opening(self) -> int:
        """Packet mark: queued, and has the first byte that its connection's originator sends."""
        return self.triggered | self.rearm
