"""Connects again and again: ``python probe.py ADDRESS PORT``; says when it is refused, and ends.

It says ``{"ready": true}`` once it has been let through.
"""

import json
import socket
import sys
import time


def say(**members: object) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def main(address: str, port: str) -> None:
    """Connect until refused."""
    ready = False
    while True:
        try:
            socket.create_connection((address, int(port)), 2).close()
        except ConnectionRefusedError:
            say(event="refused", monotonic=time.monotonic())
            return
        if not ready:
            ready = True
            say(ready=True, listening=[])
        time.sleep(0.01)


if __name__ == "__main__":
    main(*sys.argv[1:])
