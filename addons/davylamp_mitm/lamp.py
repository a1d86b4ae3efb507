"""What the addons share: settings, connections, verdicts, and what follows from a verdict."""

import gc
import logging
import time
from dataclasses import dataclass, replace
from typing import cast

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, Server
from mitmproxy.dns import DNSFlow
from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow
from mitmproxy.net.dns import response_codes
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tcp import TCPFlow
from mitmproxy.tls import ClientHelloData, TlsData
from mitmproxy.udp import UDPFlow

from davylamp.errors import DavylampError
from davylamp.events import AlertEvent, StatsEvent, rfc3339
from davylamp.flow import Proto
from davylamp.incident import Reporter, Sighting, tls_event
from davylamp.inspection.beside import Trial, asked
from davylamp.inspection.finding import AppProto, Finding
from davylamp.pipeline import PipelineLimits
from davylamp.policy import Verdict
from davylamp.steering import normal
from davylamp.updates.loading import Loaded
from davylamp_mitm.assay import Assay, meets
from davylamp_mitm.connections import Connections, Watched
from davylamp_mitm.endpoints import flow_key, server_name
from davylamp_mitm.gatewaylink import GatewayLink
from davylamp_mitm.options import Options, Settings, add_options, read_settings, settings_of
from davylamp_mitm.recorder import WORKER, Recorder
from davylamp_mitm.stopping import cut, mark

type Subject = Flow | ClientHelloData | TlsData | NextLayer | ServerConnectionHookData

_SETTINGS = frozenset(
    f"davylamp_{name}" for name in ("mode", "exception_policy", "pack", "policy", "pass")
)
_OUTPUTS = frozenset({"davylamp_events", "davylamp_redis"})

_COLLECT_AFTER = 20_000
"""Objects that may be new before garbage is looked for among them."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Stats:
    """Counters since the script was loaded.

    ``refusals`` are clients that took no certificate, ``unverified`` connections that ended because
    nobody vouches for the server, ``strays`` those that nobody redirected.
    """

    pieces: int = 0
    bytes: int = 0
    alerts: int = 0
    stopped: int = 0
    failures: int = 0
    refusals: int = 0
    unverified: int = 0
    strays: int = 0


@dataclass(frozen=True, slots=True)
class Sight:
    """What an addon shows the lamp: findings, on what flow, in what protocol, inside what."""

    found: tuple[Finding, ...]
    client: Client
    server: Server | None
    app_proto: AppProto
    outer: tuple[str, ...]


class Lamp:
    """The addon that has the options and the outputs, and that every other one asks."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.stats = Stats()
        self.behind: object | None = None
        """An addon that comes after mitmproxy's own (`behind`)."""
        self._settings: Settings | None = None
        self._reporter: Reporter | None = None
        self._recorder: Recorder | GatewayLink | None = None
        self._began = time.time()
        self._said: set[str] = set()
        self._trial: Trial | None = None
        self._assay: Assay | None = None  # every flow's, where no more is asked about it

    def settings(self) -> Settings:
        """Return what the options ask for; raise RuntimeError where they are wrong."""
        if self._settings is None:
            raise RuntimeError("davylamp's options are wrong, and nothing can be judged")
        return self._settings

    # --- what mitmproxy calls -----------------------------------------------------------------

    def load(self, loader: Loader) -> None:
        """Make the options known, and have the last addon join the line."""
        add_options(loader)
        if self.behind is not None:
            ctx.master.addons.add(self.behind)

    def configure(self, updated: set[str]) -> None:
        """Take the options; raise OptionsError saying what is wrong with them."""
        options = cast("Options", ctx.options)  # ours are there since `load`
        try:
            if self._recorder is not None and _OUTPUTS & updated:
                logger.warning("davylamp: %s take effect at the next start", sorted(_OUTPUTS))
            if options.davylamp_gateway:
                self._obey(options.davylamp_gateway)
                return
            if self._settings is None or _SETTINGS & updated:
                self._judge_by(read_settings(options))
            if self._recorder is None:
                recorder = Recorder(options.davylamp_events, options.davylamp_redis)
                recorder.start()
                self._recorder = recorder
        except (DavylampError, EOFError) as error:
            raise exceptions.OptionsError(f"davylamp: {error}") from error

    def running(self) -> None:
        """Say what is in force, and to the gateway that we listen."""
        settings = self.settings()
        _spare_the_collector()
        if isinstance(self._recorder, GatewayLink):
            self._recorder.start(self._summary)
        logger.info(
            "davylamp: %s, %s, pack %s %s",
            settings.policy.mode,
            settings.exception_policy,
            settings.pack.name,
            settings.pack.version,
        )

    def done(self) -> None:
        """Write what is still to be written."""
        if self._recorder is not None:
            self._recorder.stop(self._summary())
            self._recorder = None
        if self.behind is not None and self.behind in ctx.master.addons.chain:
            ctx.master.addons.remove(self.behind)

    # --- what the addons call -----------------------------------------------------------------

    def watched(self, client: Client) -> Watched:
        """Return what is known of a client's connection."""
        return self.connections.watched(client)

    def assay(self, client: Client, server: Server | None) -> Assay:
        """Return what the flow between a client and a server is inspected by from now on."""
        if self._assay is not None:
            return self._assay
        pack, watched = self.settings().pack, self.watched(client)
        trial = self._trial
        if trial is not None:
            trial = watched.on_trial(trial)
        packs = asked(pack, trial)
        endpoint, certificate = b"", b""
        key = flow_key(client, server)
        if key.proto is Proto.TCP:
            goes_to = key.resp_addr + key.resp_port.to_bytes(2)
            if any(one.endpoints is not None and goes_to in one.endpoints.keys for one in packs):
                endpoint = goes_to
        if server is not None and (shown := watched.shown.get(server.id)):
            indexes = [one.certificates for one in packs if one.certificates is not None]
            if any(meets(index, shown) for index in indexes):
                certificate = shown
        return Assay(pack, endpoint, certificate, watched.combining, trial)

    @property
    def asks_certificates(self) -> bool:
        """Whether the pack, or one on trial, has conditions on certificates."""
        packs = asked(self.settings().pack, self._trial)
        return any(one.certificates is not None for one in packs)

    async def may_pass(self, client: Client, server: Server, name: str) -> bool:
        """Tell whether TLS that asks for a name is passed on unopened.

        Behind the gateway the name must have been given out for the server's address: a client
        writes into its ClientHello what it likes.
        """
        if not self.settings().trusted.trusts(name):
            return False
        if not isinstance(self._recorder, GatewayLink):
            return True
        return await self._recorder.bound(flow_key(client, server), normal(name))

    def count(self, data: bytes) -> None:
        """Count a piece that was shown."""
        self.stats.pieces += 1
        self.stats.bytes += len(data)

    def would_block(self, found: tuple[Finding, ...], client: Client, server: Server) -> bool:
        """Tell what the policy says of findings that are not certain yet; nothing is reported."""
        key = flow_key(client, server)
        return any(self.settings().policy.judge(finding, key).blocks for finding in found)

    def judge(self, sight: Sight) -> Verdict | None:
        """Report what was found; return the gravest verdict, or None where nothing was found."""
        if not sight.found:
            return None
        assert self._reporter is not None
        watched = self.watched(sight.client)
        key = flow_key(sight.client, sight.server)
        name = server_name(sight.server)
        found = tuple(_placed(finding, sight.outer, name) for finding in sight.found)
        now = time.time()
        sighting = Sighting(key, watched.begin, now, sight.app_proto, watched.hello)
        alerts, verdict = self._reporter.report(found, sighting, watched.suspicion(key))
        for alert in alerts:
            self._publish(alert, name)
        if verdict.blocks and verdict.block_endpoint and self._recorder is not None:
            self._recorder.block(key)
        return verdict

    def tell_refusal(
        self, client: Client, server: Server | None, watched: Watched, how: str
    ) -> None:
        """Tell that a client would not have our certificate, whatever it is."""
        key = flow_key(client, server)
        if self._recorder is not None:
            event = tls_event(key, watched.begin, time.time(), watched.hello, refusal=how)
            self._recorder.tell(event)

    def stop(self, client: Client, server: Server | None, flow: Flow | None, reason: str) -> None:
        """Cut a client's connection for good; whoever calls has taken care of the bytes."""
        watched = self.watched(client)
        if not watched.stopped:
            watched.stopped = True
            self.stats.stopped += 1
        cut(client, server)
        if flow is not None:
            mark(flow, reason)
            self.connections.drop(flow.id)

    def failed(self, where: str, subject: Subject, error: Exception) -> None:
        """Carry out the exception policy on what could not be judged because of an error."""
        self.stats.failures += 1
        if self._settings is None or self._settings.fails_closed:
            consequence = "stopped"
            take_away(subject)
            match subject:
                case ClientHelloData() | TlsData() | NextLayer():
                    self.stop(subject.context.client, subject.context.server, None, "")
                case ServerConnectionHookData():
                    self.stop(subject.client, subject.server, None, "")
                case _:
                    self.stop(
                        subject.client_conn, subject.server_conn, subject, "inspection failed"
                    )
        else:
            consequence = "passed on"
        first = where not in self._said
        self._said.add(where)
        logger.error(
            "davylamp: inspection failed in %s, the flow was %s: %r",
            where,
            consequence,
            error,
            exc_info=error if first else None,
        )

    def _obey(self, descriptor: int) -> None:
        """Be a worker of the gateway that is behind a file descriptor; once and for all."""
        if self._recorder is not None:
            return
        link = GatewayLink(descriptor, self._switch, self._try_beside)
        self._judge_by(settings_of(link.brief.config, link.brief.pack))
        self._recorder = link

    def _switch(self, loaded: Loaded) -> None:
        """Judge what begins from now on by another pack; strands keep theirs."""
        self._judge_by(replace(self.settings(), pack=loaded.pack))

    def _try_beside(self, trial: Trial | None) -> None:
        """Have connections inspected by another pack as well, or no longer."""
        self._trial = trial
        self._choose_assay()

    def _choose_assay(self) -> None:
        pack = self.settings().pack
        more = (self._trial, pack.endpoints, pack.certificates, pack.combinations)
        self._assay = Assay(pack) if all(one is None for one in more) else None

    def _judge_by(self, settings: Settings) -> None:
        self._settings = settings
        self._choose_assay()
        alerts_per_flow = PipelineLimits().alerts_per_flow
        self._reporter = Reporter(
            settings.policy, settings.pack.version, alerts_per_flow, settings.wallet_key
        )

    def _publish(self, alert: AlertEvent, name: str) -> None:
        self.stats.alerts += 1
        logger.log(
            # The gateway says it itself, and knows who it was.
            logging.INFO if isinstance(self._recorder, GatewayLink) else logging.WARNING,
            "davylamp: %s: %s (%d %%), %s:%d to %s",
            alert.verdict.action,
            alert.alert.signature,
            alert.alert.confidence,
            alert.src_ip,
            alert.src_port,
            name or f"{alert.dest_ip}:{alert.dest_port}",
        )
        if self._recorder is not None:
            self._recorder.take(alert)

    def _summary(self) -> StatsEvent:
        now, stats = time.time(), self.stats
        return StatsEvent(
            timestamp=rfc3339(now),
            packets=stats.pieces,
            bytes=stats.bytes,
            flows=len(self.connections),
            alerts=stats.alerts,
            seconds=now - self._began,
            worker=WORKER,
            counters={
                "stopped": stats.stopped,
                "failures": stats.failures,
                "tls_refusals": stats.refusals,
                "unverified": stats.unverified,
                "strays": stats.strays,
                "evicted": self.connections.evicted,
            },
        )


def _spare_the_collector() -> None:
    """Have garbage looked for where it is, and less often.

    What there is by now stays. Of what a request makes nearly all goes by reference counts; looking
    for the rest every 700 objects, as Python does, is several times a request.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])


def take_away(subject: Subject) -> None:
    """Blank the bytes that mitmproxy is about to send on for this subject."""
    match subject:
        case TCPFlow() | UDPFlow() if subject.messages:
            subject.messages[-1].content = b""
        case HTTPFlow(websocket=sockets) if sockets is not None and sockets.messages:
            sockets.messages[-1].drop()
        case DNSFlow():
            subject.response = subject.request.fail(response_codes.REFUSED)


def _placed(finding: Finding, outer: tuple[str, ...], name: str) -> Finding:
    """Return a finding inside its outer layers, with the name that its server was asked for by.

    The Inspector was shown what is inside those layers, as if it were the transport's payload.
    """
    detail = f"{finding.detail} (to {name})" if name else finding.detail
    return replace(finding, layers=(*outer, *finding.layers[1:]), detail=detail)
