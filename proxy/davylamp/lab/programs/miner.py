"""A miner for the lab: a faithful client of both dialects that says what the network did to it.

It reconnects with back-off through a list of pools, as miners do, and never runs longer than told.
Exit code 0: a share was accepted. 3: every attempt ended in a reset, a refusal or silence.
1: anything else.
"""

import asyncio
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import click

from davylamp.lab.programs.addresses import Endpoint, parse_endpoint
from davylamp.lab.programs.link import BLOCKED, Link, LinkOptions, Outcome, outcome_of
from davylamp.lab.programs.miner_cryptonote import CryptonoteMiner
from davylamp.lab.programs.miner_session import Budget, MinerOptions, MinerSession
from davylamp.lab.programs.miner_stratum import StratumMiner
from davylamp.lab.programs.pool_answer import Dialect
from davylamp.lab.programs.report import Reporter
from davylamp.lab.programs.shell import plain_errors, unless_signalled
from davylamp.lab.programs.websocket import WebSocketLink
from davylamp.lab.programs.wire import WireStyle

# Nobody's: well-formed, but the keys behind them are public (BIP 173's example) or were never made.
BITCOIN_USER = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.lab"
MONERO_USER = (
    "46LabLampLampLampLampLampLampLampLampLampLampLampLamp"
    "LampLampLampLampLampLampLampLampLampLampLb"
)
AGENTS: Mapping[Dialect, str] = {
    Dialect.STRATUM: "cgminer/4.12.1",
    Dialect.CRYPTONOTE: "XMRig/6.22.2 (Linux x86_64) libuv/1.48.0 gcc/13.2.1",
}
TLS_VERSIONS: Mapping[str, ssl.TLSVersion] = {
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to mine, what to say, and how long; times in seconds, zero attempts is no limit."""

    pools: tuple[Endpoint, ...]
    dialect: Dialect
    link: LinkOptions
    miner: MinerOptions
    seconds: float = 30.0
    attempts: int = 0
    backoff: float = 0.5
    backoff_limit: float = 5.0
    websocket: bool = False


@dataclass(slots=True)
class Tally:
    """How the attempts ended."""

    outcomes: list[Outcome] = field(default_factory=list)

    def exit_code(self, accepted: int) -> int:
        """Return 0 with a share accepted, 3 where every attempt was cut off, else 1."""
        if accepted:
            return 0
        return 3 if self.outcomes and BLOCKED.issuperset(self.outcomes) else 1


async def mine(plan: Plan, budget: Budget, reporter: Reporter) -> int:
    """Carry out the plan and return the exit code."""
    tally = Tally()
    try:
        async with asyncio.timeout(plan.seconds):
            await _attempts(plan, budget, tally, reporter)
    except TimeoutError:
        reporter.say("time_is_up", seconds=plan.seconds)
    finally:
        code = tally.exit_code(budget.accepted)
        reporter.say(
            "summary",
            attempts=len(tally.outcomes),
            outcomes=[outcome.value for outcome in tally.outcomes],
            shares_accepted=budget.accepted,
            shares_rejected=budget.rejected,
            exit_code=code,
        )
    return code


async def _attempts(plan: Plan, budget: Budget, tally: Tally, reporter: Reporter) -> None:
    failures = number = 0
    while True:
        pool = plan.pools[number % len(plan.pools)]
        before = budget.accepted
        await _attempt(plan, pool, number // len(plan.pools), budget, tally, reporter)
        number += 1
        failures = 0 if budget.accepted > before else failures + 1
        if budget.spent or number == plan.attempts:
            return
        await asyncio.sleep(min(plan.backoff_limit, plan.backoff * 2 ** min(failures, 16)))


async def _attempt(  # noqa: PLR0913, PLR0917 - the attempt's whole circumstance
    plan: Plan, pool: Endpoint, turn: int, budget: Budget, tally: Tally, reporter: Reporter
) -> None:
    link: Link | None = None
    # Stands if time runs out now: nobody answered.
    outcome, words, number = Outcome.TIMED_OUT, "", None
    try:
        kind = WebSocketLink if plan.websocket else Link
        link = await kind.open(pool, plan.link, reporter, turn)
        await session(plan.dialect, link, plan.miner, budget).run()
        outcome = Outcome.FINISHED
    except asyncio.CancelledError:
        outcome = Outcome.FINISHED if link is not None and link.answered else outcome
        raise
    except (OSError, EOFError, ExceptionGroup) as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        outcome = outcome_of(cause)
        words, number = str(cause), cause.errno if isinstance(cause, OSError) else None
    finally:
        tally.outcomes.append(outcome)
        answered = link is not None and link.answered
        reporter.say(
            outcome.value,
            pool=str(pool),
            phase="connecting" if link is None else "answered" if answered else "unanswered",
            errno=number,
            error=words,
        )
        if link is not None:
            link.close()


def session(dialect: Dialect, link: Link, options: MinerOptions, budget: Budget) -> MinerSession:
    """Return the dialect's session over an open link."""
    match dialect:
        case Dialect.STRATUM:
            return StratumMiner(link, options, budget)
        case Dialect.CRYPTONOTE:
            return CryptonoteMiner(link, options, budget)


def miner_options(
    dialect: Dialect,
    user: str | None = None,
    agent: str | None = None,
    share_interval: float = 0.5,
    keepalive: float = 60.0,
) -> MinerOptions:
    """Return options with the dialect's usual user and agent where none are given."""
    usual = BITCOIN_USER if dialect is Dialect.STRATUM else MONERO_USER
    return MinerOptions(user or usual, "x", agent or AGENTS[dialect], share_interval, keepalive)


@click.command(context_settings={"show_default": True})
@click.option("--pool", "pools", multiple=True, required=True, help="host:port or URL; repeatable.")
@click.option("--dialect", type=click.Choice([one.value for one in Dialect]), default="stratum")
@click.option("--wire", type=click.Choice([one.value for one in WireStyle]), default="whole")
@click.option("--gap", default=0.002, help="Seconds between the segments of one batch.")
@click.option("--tls", is_flag=True, help="TLS, whatever the URL says.")
@click.option("--sni", help="Server name to ask for; none by default, as XMRig.")
@click.option("--tls-version", type=click.Choice(list(TLS_VERSIONS)))
@click.option("--websocket", is_flag=True, help="Speak in text frames of a WebSocket.")
@click.option("--proxy", help="HTTP proxy to go through by CONNECT, host:port.")
@click.option("--user", help="Wallet or worker name.")
@click.option("--agent", help="What to call ourselves.")
@click.option("--seconds", default=30.0, help="Longest run.")
@click.option("--shares", default=3, help="Stop after so many accepted shares; 0 is never.")
@click.option("--hashes", default=50_000_000, help="Most hashes to compute.")
@click.option("--share-interval", default=0.5, help="Seconds between shares.")
@click.option("--keepalive", default=60.0, help="Seconds between keepalived requests.")
@click.option("--attempts", default=0, help="Most connections to try; 0 is no limit.")
@click.option("--backoff", default=0.5, help="Seconds before the first reconnect; doubles.")
@click.option("--connect-timeout", default=5.0)
@click.option("--patience", default=10.0, help="Seconds to wait for an answer.")
def main(  # noqa: PLR0913, PLR0917 - one parameter an option
    pools: tuple[str, ...],
    dialect: str,
    wire: str,
    gap: float,
    tls: bool,
    sni: str | None,
    tls_version: str | None,
    websocket: bool,
    proxy: str | None,
    user: str | None,
    agent: str | None,
    seconds: float,
    shares: int,
    hashes: int,
    share_interval: float,
    keepalive: float,
    attempts: int,
    backoff: float,
    connect_timeout: float,
    patience: float,
) -> None:
    """Mine at the given pools; exit 0 if a share was accepted, 3 if cut off every time."""
    version = None if tls_version is None else TLS_VERSIONS[tls_version]
    spoken = Dialect(dialect)
    miner = miner_options(spoken, user, agent, share_interval, keepalive)
    with plain_errors():
        through = parse_endpoint(proxy) if proxy else None
        style = WireStyle(wire)
        link = LinkOptions(tls, sni, version, None, style, gap, connect_timeout, patience, through)
        endpoints = tuple(parse_endpoint(one) for one in pools)
        times = seconds, attempts, backoff
        plan = Plan(endpoints, spoken, link, miner, *times, websocket=websocket)
        reporter, budget = Reporter(), Budget(hashes, shares)
        reporter.ready()
        code = asyncio.run(unless_signalled(mine(plan, budget, reporter)))
    sys.exit(code if code is not None else 0 if budget.accepted else 1)


if __name__ == "__main__":
    main()
