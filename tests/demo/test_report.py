"""The demonstration as a person reads it, and as a program does."""

import io

import msgspec
from rich.console import Console

from davylamp.demo.report import as_object, show
from davylamp.demo.results import Results


def shown(results: Results) -> str:
    """Return what is printed where standard output is no terminal."""
    out = io.StringIO()
    show(results, Console(file=out, width=80))
    return out.getvalue()


def test_a_person_reads_what_happened_who_and_what_it_cost(results: Results) -> None:
    """Timeline, name, evidence with its bytes, the pool's account, honest work, cost, verdict."""
    text = shown(results)
    for expected in (
        "    1.500 s  davylamp reject: CryptoNote login",
        "sandbox-7",
        "run-1",
        "rollout-2",
        "call-4 (bash)",
        "bound, from trainer",
        '    originator byte 0+28: {"method":"login","params":[bold]',
        "0.4 ms after its request",
        "The pool saw 1 connections, 0 bytes, 0 complete requests, 0 shares.",
        "ok      download: checksum right",
        "skipped git: git is not installed",
        "3.00 Gbit/s (2.00 to 4.00) without the gateway",
        "2.70 Gbit/s (2.40 to 3.60) with it: 90%",
        "yes  every alert names the container and the tool call",
    ):
        assert expected in text
    assert "NO" not in text
    assert "\x1b" not in text


def test_what_does_not_hold_is_not_overlooked(results: Results) -> None:
    """Where nobody was seen there is no name, and every claim that fails says NO."""
    results.alerts.clear()
    results.tagged = False
    text = shown(results)
    assert text.count("NO ") == 3
    assert "Who did it" not in text


def test_a_program_reads_the_claims(results: Results) -> None:
    """The JSON object says whether it was a success, and why."""
    read = msgspec.json.decode(msgspec.json.encode(as_object(results)))
    assert [read[name] for name in ("success", "blocked", "attributed", "tagged")] == [True] * 4
    assert read["ratio"] == 0.9
    assert read["alerts"][0]["lineage"]["tool_call_id"] == "call-4"
