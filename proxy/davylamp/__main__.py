"""``python -m davylamp``: the command line of whichever interpreter runs it."""

from davylamp.cli import main

main(prog_name="davylamp")
