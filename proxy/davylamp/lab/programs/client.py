"""The benign work of a sandbox, checked end to end, and a miner that hides behind it.

Exit code 0: all of it was undisturbed (``late``: a share was accepted). 3: cut off by a reset, a
refusal or silence. 1: anything else, a wrong checksum among it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import click

from davylamp.errors import ConfigError
from davylamp.lab.programs import http1, rpc
from davylamp.lab.programs.addresses import Endpoint, parse_endpoint
from davylamp.lab.programs.link import BLOCKED, Link, LinkOptions, Outcome, outcome_of
from davylamp.lab.programs.miner import miner_options, session
from davylamp.lab.programs.miner_session import Budget
from davylamp.lab.programs.pool_answer import Dialect
from davylamp.lab.programs.report import Json, Reporter
from davylamp.lab.programs.shell import plain_errors, unless_signalled

# How a late miner spreads its innocent volume over its innocent seconds.
LATE_TICK = 0.25


@dataclass(frozen=True, slots=True)
class Place:
    """A parsed URL: where to connect, whether with TLS, and what to ask for."""

    endpoint: Endpoint
    tls: bool
    path: str

    @classmethod
    def parse(cls, url: str) -> "Place":
        """Read an http, https or tcp URL; raise ConfigError on another."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https", "tcp"} or not parts.netloc:
            raise ConfigError(f"{url}: write it as http://, https:// or tcp://host:port/path")
        usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
        netloc = parts.netloc if parts.port else parts.netloc + usual
        return cls(parse_endpoint(netloc), parts.scheme == "https", parts.path or "/")

    def link(self, sni: str | None, trust: str | None) -> LinkOptions:
        """Return how to connect; the server name is the host's, where it is a name."""
        host = self.endpoint.host
        named = not (":" in host or host.replace(".", "").isdigit())
        return LinkOptions(
            tls=self.tls,
            server_name=sni or (host if named else None),
            trust=trust,
            patience=30.0,
            connect_timeout=15.0,
        )


async def download(place: Place, options: LinkOptions, reporter: Reporter) -> bool:
    """Download ``/bytes/N`` and compare with the server's ``/sha256/N``; return whether equal."""
    link = await Link.open(place.endpoint, options, reporter)
    try:
        begin = time.monotonic()
        body = await _fetch(link, place, place.path)
        seconds = time.monotonic() - begin
        told = await _fetch(link, place, place.path.replace("/bytes/", "/sha256/"))
    finally:
        link.close()
    intact = body.status == 200 and body.sha256 == told.begin.decode("latin-1").strip()
    reporter.say("downloaded", bytes=body.size, seconds=seconds, sha256=body.sha256, intact=intact)
    return intact


async def parallel(
    place: Place, options: LinkOptions, count: int, requests: int, reporter: Reporter
) -> bool:
    """Hold ``count`` connections open at once, fetch over each; return whether all went well."""
    quiet = Reporter(silent=True)
    opening = [Link.open(place.endpoint, options, quiet) for _ in range(count)]
    opened = await asyncio.gather(*opening, return_exceptions=True)
    links = [one for one in opened if isinstance(one, Link)]
    errors: list[BaseException] = [one for one in opened if not isinstance(one, Link)]
    try:
        told = await asyncio.gather(
            *(_fetch_often(link, place, requests) for link in links), return_exceptions=True
        )
    finally:
        for link in links:
            link.close()
    errors += [one for one in told if isinstance(one, BaseException)]
    good = sum(one is True for one in told)
    first = str(errors[0]) if errors else ""
    reporter.say("parallel", connections=count, opened=len(links), good=good, error=first)
    for error in errors:
        if isinstance(error, Exception):
            raise error
    return good == count


async def call(
    place: Place, options: LinkOptions, count: int, pause: float, reporter: Reporter
) -> bool:
    """Make JSON-RPC calls over HTTP or raw lines; return whether every result was as expected."""
    link = await Link.open(place.endpoint, options, reporter)
    good = 0
    try:
        for number, (method, params, expected) in enumerate(rpc.calls(count)):
            text = await _call(link, place, rpc.request(number, method, params))
            good += _result_of(text, number) == expected
            await asyncio.sleep(pause)
    finally:
        link.close()
    reporter.say("called", calls=count, good=good)
    return good == count


async def late(place: Place, options: LinkOptions, plan: "LatePlan", reporter: Reporter) -> bool:
    """Behave as HTTP for so long and so much, then mine on the same connection."""
    link = await Link.open(place.endpoint, options, reporter)
    budget = Budget(plan.hashes, plan.shares)
    try:
        rounds = max(1, round(plan.http_seconds / LATE_TICK))
        size = -(-plan.http_bytes // rounds)
        begin = time.monotonic()
        for number in range(1, rounds + 1):
            await _fetch(link, place, f"/bytes/{size}")
            await asyncio.sleep(begin + number * LATE_TICK - time.monotonic())
        seconds = time.monotonic() - begin
        reporter.say("turning", requests=rounds, bytes=rounds * size, seconds=seconds)
        async with asyncio.timeout(plan.mine_seconds):
            await session(plan.dialect, link, miner_options(plan.dialect), budget).run()
    finally:
        reporter.say("mined", shares_accepted=budget.accepted)
        link.close()
    return budget.accepted > 0


@dataclass(frozen=True, slots=True)
class LatePlan:
    """How long and how much to look innocent, and what to do then; times in seconds."""

    http_seconds: float
    http_bytes: int
    dialect: Dialect
    shares: int
    mine_seconds: float
    hashes: int = 50_000_000


async def _fetch(link: Link, place: Place, path: str) -> http1.Body:
    request = http1.get(path, str(place.endpoint))
    return await http1.fetch(link.reader, link.writer, request)


async def _fetch_often(link: Link, place: Place, requests: int) -> bool:
    sums = {(await _fetch(link, place, place.path)).sha256 for _ in range(requests)}
    told = await _fetch(link, place, place.path.replace("/bytes/", "/sha256/"))
    return sums == {told.begin.decode("latin-1").strip()}


async def _call(link: Link, place: Place, request: bytes) -> bytes:
    if place.path != "/":
        posted = http1.post_json(place.path, str(place.endpoint), request)
        return (await http1.fetch(link.reader, link.writer, posted)).begin
    link.writer.write(request + b"\n")
    await link.writer.drain()
    return await link.reader.readline()


def _result_of(text: bytes, number: int) -> Json:
    try:
        response = json.loads(text)
    except ValueError:
        return None
    match response:
        case {"jsonrpc": "2.0", "id": int(found), "result": result} if found == number:
            return result  # type: ignore[no-any-return]
        case _:
            return None


def _run(work: Coroutine[Any, Any, bool], reporter: Reporter) -> None:
    """Run the work and exit with its code."""
    try:
        good = asyncio.run(unless_signalled(work))
        outcome = Outcome.FINISHED
    except (OSError, EOFError, ExceptionGroup) as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        outcome, good = outcome_of(cause), False
        number = cause.errno if isinstance(cause, OSError) else None
        reporter.say(outcome.value, errno=number, error=str(cause))
    code = 0 if good else 3 if outcome in BLOCKED else 1
    reporter.say("summary", good=bool(good), outcome=outcome.value, exit_code=code)
    sys.exit(code)


_SNI = click.option("--sni", help="TLS server name, where it is not the URL's host.")
_TRUST = click.option("--trust", help="CA bundle to verify with; without it nothing is verified.")


@click.group()
def main() -> None:
    """Do a sandbox's benign work over real sockets, or hide a miner behind it."""


@main.command("download")
@click.argument("url")
@_SNI
@_TRUST
def download_command(url: str, sni: str | None, trust: str | None) -> None:
    """Download URL (…/bytes/N) and check its SHA-256."""
    with plain_errors():
        place, reporter = Place.parse(url), Reporter()
        _run(download(place, place.link(sni, trust), reporter), reporter)


@main.command("parallel")
@click.argument("url")
@click.option("--count", default=200, show_default=True, help="Connections held open at once.")
@click.option("--requests", default=3, show_default=True, help="Downloads over each.")
@_SNI
@_TRUST
def parallel_command(
    url: str, count: int, requests: int, sni: str | None, trust: str | None
) -> None:
    """Fetch URL (…/bytes/N) over many connections at once, checking every SHA-256."""
    with plain_errors():
        place, reporter = Place.parse(url), Reporter()
        _run(parallel(place, place.link(sni, trust), count, requests, reporter), reporter)


@main.command("rpc")
@click.argument("url")
@click.option("--count", default=25, show_default=True, help="Calls to make.")
@click.option("--pause", default=0.0, show_default=True, help="Seconds between calls.")
@_SNI
@_TRUST
def rpc_command(url: str, count: int, pause: float, sni: str | None, trust: str | None) -> None:
    """Make JSON-RPC calls to URL: http://host:port/rpc, or tcp://host:port for raw lines."""
    with plain_errors():
        place, reporter = Place.parse(url), Reporter()
        _run(call(place, place.link(sni, trust), count, pause, reporter), reporter)


@main.command("late")
@click.argument("url")
@click.option("--http-seconds", default=30.0, show_default=True)
@click.option("--http-bytes", default=50_000_000, show_default=True)
@click.option("--dialect", type=click.Choice([one.value for one in Dialect]), default="stratum")
@click.option("--shares", default=1, show_default=True, help="Accepted shares to stop after.")
@click.option("--mine-seconds", default=20.0, show_default=True, help="Longest mining.")
@_SNI
@_TRUST
def late_command(  # noqa: PLR0913, PLR0917 - one parameter an option
    url: str,
    http_seconds: float,
    http_bytes: int,
    dialect: str,
    shares: int,
    mine_seconds: float,
    sni: str | None,
    trust: str | None,
) -> None:
    """Be an HTTP client of URL (http://host:port) first, and a miner on that connection then."""
    plan = LatePlan(http_seconds, http_bytes, Dialect(dialect), shares, mine_seconds)
    with plain_errors():
        place, reporter = Place.parse(url), Reporter()
        _run(late(place, place.link(sni, trust), plan, reporter), reporter)


if __name__ == "__main__":
    main()
