"""What is remembered about each client's connection, bounded in number and in bytes."""

from collections import OrderedDict
from dataclasses import dataclass, field

from mitmproxy.connection import Client, Server
from mitmproxy.proxy.layer import NextLayer

from davylamp.flow import Direction, FlowKey
from davylamp.flowtable import FLOW_OVERHEAD, FlowLimits
from davylamp.fusion import Suspicion
from davylamp.inspection.beside import Trial
from davylamp.inspection.finding import Finding
from davylamp.inspection.inspector import combines
from davylamp.inspection.wire.tls import ClientHello
from davylamp.signatures.pack import Pack
from davylamp_mitm.endpoints import outer_layers
from davylamp_mitm.strand import ByteStrand, Strand

_SERVERS = 64


@dataclass(slots=True)
class Hearing:
    """What a client said to a server that nobody vouches for, as far as it was heard.

    ``asked`` is the layer that is to be chosen, and ``taken`` how many of its bytes were read.
    """

    asked: NextLayer
    strand: ByteStrand
    taken: int = 0
    found: tuple[Finding, ...] = ()

    def more(self, data: bytes, now: float) -> tuple[Finding, ...]:
        """Read what is new of all that was said so far; return all that was found."""
        new, self.taken = data[self.taken :], len(data)
        self.found += self.strand.receive(Direction.ORIGINATOR, new, now)
        return self.found


@dataclass(slots=True)
class Watched:
    """One connection of a client to the proxy, behind which there may be several servers.

    ``begin`` is when it was accepted, in seconds since the epoch. ``stopped`` says that it was cut.
    ``around`` is what stands around the bytes on it, outermost first, once it led into something
    that HTTP made: a tunnel, or another protocol. ``opened`` is when TLS with the client was
    established, or 0, and ``server`` the one behind it then; ``spoken`` that bytes were exchanged
    in it, or that the server left. ``judged`` says that something was found, and that policy lets
    it pass; ``hearing`` is there until that is known. ``combining`` is the hello, if it is part of
    a combination of a pack's. ``shown`` are the certificates (DER) that servers showed, by the
    server's id. ``asked`` is the trial of a pack that was last asked whether it takes this
    connection, and ``tried`` the same if it does.
    """

    begin: float
    hello: ClientHello | None = None
    combining: ClientHello | None = None
    stopped: bool = False
    around: tuple[str, ...] = ()
    opened: float = 0.0
    server: Server | None = None
    spoken: bool = False
    judged: bool = False
    hearing: Hearing | None = None
    shown: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    asked: Trial | None = None
    tried: Trial | None = None
    _tls_around: float | None = None
    _suspicions: OrderedDict[FlowKey, Suspicion] = field(default_factory=OrderedDict)

    def outer(self, client: Client, *, tunnelled: bool = True) -> tuple[str, ...]:
        """Return what stands around the bytes that mitmproxy shows; see `outer_layers`."""
        if not self.around:
            return outer_layers(client, tunnelled=tunnelled)
        inner_tls = client.timestamp_tls_setup not in {None, self._tls_around}
        return (*self.around, "tls") if inner_tls else self.around

    def enter(self, client: Client, layer: str) -> None:
        """Note that what comes next on the connection is inside of one more layer."""
        self.around = (*self.outer(client), layer)
        self._tls_around = client.timestamp_tls_setup

    def on_trial(self, trial: Trial) -> Trial | None:
        """Return the trial if it takes this connection, which counts once, whatever is on it."""
        if self.asked is not trial:
            self.asked = trial
            self.tried = trial if trial.admit() else None
        return self.tried

    def greet(self, hello: ClientHello | None, packs: tuple[Pack, ...]) -> None:
        """Note the ClientHello of TLS that is to be opened, if it could be read."""
        if hello is not None:
            self.hello = hello
            self.combining = hello if any(combines(pack, hello) for pack in packs) else None

    def show(self, server: Server, der: bytes) -> None:
        """Note the certificate that a server showed."""
        self.shown[server.id] = der
        if len(self.shown) > _SERVERS:
            self.shown.popitem(last=False)

    def suspicion(self, key: FlowKey) -> Suspicion:
        """Return what was found so far of what is said to this server; it is kept."""
        known = self._suspicions.setdefault(key, Suspicion())
        self._suspicions.move_to_end(key)
        if len(self._suspicions) > _SERVERS:
            self._suspicions.popitem(last=False)
        return known


@dataclass(slots=True)
class _Entry:
    client: str
    strand: Strand
    counted: int = 0


class Connections:
    """Connections by their client's id, and strands by their flow's, longest idle first."""

    def __init__(self, limits: FlowLimits | None = None) -> None:
        self._limits = limits or FlowLimits()
        self._watched: OrderedDict[str, Watched] = OrderedDict()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._flows: dict[str, set[str]] = {}
        self.held = 0
        """Bytes that all strands hold."""
        self.evicted = 0
        """Strands that had to go because a bound was met."""

    def __len__(self) -> int:
        return len(self._entries)

    def watched(self, client: Client) -> Watched:
        """Return what is known of a client's connection; of one that has ended, nothing."""
        known = self._watched.get(client.id)
        if known is None and client.timestamp_end is not None:
            return Watched(client.timestamp_start)
        if known is None:
            known = self._watched[client.id] = Watched(client.timestamp_start)
            if len(self._watched) > self._limits.flows:
                self._watched.popitem(last=False)
        return known

    def known(self, client: Client) -> Watched | None:
        """Return what is known of a client's connection, ended or not, if anything is."""
        return self._watched.get(client.id)

    def strand(self, flow_id: str) -> Strand | None:
        """Return a flow's strand, if it has one."""
        entry = self._entries.get(flow_id)
        return entry.strand if entry is not None else None

    def keep(self, client: Client, flow_id: str, strand: Strand) -> None:
        """Note a strand as the least idle, with what it holds now; others may have to go."""
        if client.timestamp_end is not None:
            return
        entry = self._entries.get(flow_id)
        if entry is None or entry.strand is not strand:
            self.drop(flow_id)
            entry = self._entries[flow_id] = _Entry(client.id, strand)
            self._flows.setdefault(client.id, set()).add(flow_id)
        self._entries.move_to_end(flow_id)
        held = FLOW_OVERHEAD + strand.held
        self.held += held - entry.counted
        entry.counted = held
        while len(self._entries) > 1 and (
            len(self._entries) > self._limits.flows or self.held > self._limits.held
        ):
            self._evict()

    def drop(self, flow_id: str) -> None:
        """Forget a flow's strand."""
        entry = self._entries.pop(flow_id, None)
        if entry is None:
            return
        self.held -= entry.counted
        flows = self._flows[entry.client]
        flows.discard(flow_id)
        if not flows:
            del self._flows[entry.client]

    def forget(self, client: Client) -> None:
        """Forget a client's connection and all that was on it."""
        self._watched.pop(client.id, None)
        for flow_id in tuple(self._flows.get(client.id, ())):
            self.drop(flow_id)

    def _evict(self) -> None:
        self.evicted += 1
        flow_id, entry = next(iter(self._entries.items()))
        self.drop(flow_id)
        entry.strand.give_up()  # a body that is being streamed still has it
