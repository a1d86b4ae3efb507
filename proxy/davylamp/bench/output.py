"""What the load tools print, read. Pure: their output in, figures out."""

import json
import re
from dataclasses import dataclass

from davylamp.errors import KernelError

_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_COUNT = re.compile(r"^\s*(\d+) requests in ([\d.]+)(us|ms|s|m|h),", re.MULTILINE)
_PERCENTILE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m|h)\s*$", re.MULTILINE)
_SOCKET_ERRORS = re.compile(
    r"^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", re.MULTILINE
)
_BAD_STATUS = re.compile(r"^\s*Non-2xx or 3xx responses: (\d+)", re.MULTILINE)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk transfer as its receiver saw it: ``rate`` in bits a second, ``size`` in bytes."""

    rate: float
    size: int


@dataclass(frozen=True, slots=True)
class Requests:
    """A run of one-request connections.

    ``rate`` is connections a second, ``count`` how many were answered, ``failed`` how many broke.
    ``p50`` and ``p99`` are seconds from the request to its answer.
    """

    rate: float
    count: int
    failed: int
    p50: float
    p99: float


def parse_iperf3(text: str) -> Bulk:
    """Read ``iperf3 -J`` (version 3.1 or later); raise KernelError with what it complains of."""
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise KernelError(f"iperf3 did not answer in JSON: {text.strip()[:200]!r}") from error
    try:
        if complaint := tree.get("error"):
            raise KernelError(f"iperf3 could not measure: {complaint}")
        received = tree["end"]["sum_received"]
        return Bulk(float(received["bits_per_second"]), int(received["bytes"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise KernelError("iperf3 reports no received bytes; it may be older than 3.1") from error


def parse_wrk(text: str) -> Requests:
    """Read what ``wrk --latency`` prints (version 4); raise KernelError when that is no report."""
    rate, count = _RATE.search(text), _COUNT.search(text)
    spread = {
        found[1]: float(found[2]) * _SECONDS[found[3]] for found in _PERCENTILE.finditer(text)
    }
    if rate is None or count is None or spread.keys() != {"50", "99"}:
        raise KernelError(f"wrk did not measure: {text.strip()[:200]!r}")
    errors = _SOCKET_ERRORS.search(text)
    bad = _BAD_STATUS.search(text)
    failed = sum(map(int, errors.groups())) if errors else 0
    failed += int(bad[1]) if bad else 0
    return Requests(float(rate[1]), int(count[1]), failed, spread["50"], spread["99"])


def parse_own_bulk(text: str) -> Bulk:
    """Read the line of :mod:`.peer`'s ``bulk``; raise KernelError when there is none."""
    line = _own(text)
    try:
        return Bulk(line["bytes"] * 8 / line["seconds"], int(line["bytes"]))
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise KernelError(f"the bulk client did not measure: {text.strip()[:200]!r}") from error


def parse_own_requests(text: str) -> Requests:
    """Read the line of :mod:`.peer`'s ``connect``; raise KernelError when there is none."""
    line = _own(text)
    try:
        return Requests(
            line["count"] / line["seconds"],
            int(line["count"]),
            int(line["failed"]),
            float(line["p50"]),
            float(line["p99"]),
        )
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise KernelError(f"the HTTP client did not measure: {text.strip()[:200]!r}") from error


def _own(text: str) -> dict[str, float]:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise KernelError(f"the load program failed: {text.strip()[:200]!r}") from error
    return line if isinstance(line, dict) else {}
