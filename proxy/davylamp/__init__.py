"""davylamp: an egress gateway that sees mining, stops it, and names who ran it."""

__version__ = "0.1.0"
