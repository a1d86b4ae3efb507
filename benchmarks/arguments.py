"""What the benchmarks' command lines share: numbers that count something."""

# ruff: noqa: INP001 - beside scripts

import argparse


def at_least_one(text: str) -> int:
    """Read a whole number from 1 on; argparse shows what is wrong with anything else."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)
