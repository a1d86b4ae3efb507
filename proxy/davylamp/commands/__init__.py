"""davylamp's subcommands: each file defines one click command named ``command``."""
