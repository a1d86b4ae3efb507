"""What the benchmarks' command lines share: numbers, and what is said of wrong ones."""

# ruff: noqa: INP001 - beside scripts

import argparse
import math


def at_least_one(text: str) -> int:
    """Read a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def listed(text: str) -> list[int]:
    """Read whole numbers from 1 on, with commas between."""
    return [at_least_one(one) for one in text.split(",")]


def above_zero(text: str) -> float:
    """Read a number above 0, however small."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number
