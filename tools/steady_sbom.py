# ruff: noqa: INP001 - a script, in no package
"""Gives a CycloneDX document on standard input the serial number and time of its content.

uv writes a random number and the time of day, which would make each build of an image another.
"""

import json
import sys
import uuid
from datetime import UTC, datetime


def main() -> None:
    """Write the document, its time being the seconds since the epoch that are given."""
    document = json.load(sys.stdin)
    moment = datetime.fromtimestamp(int(sys.argv[1]), UTC)
    document["metadata"]["timestamp"] = moment.isoformat().replace("+00:00", "Z")
    del document["serialNumber"]
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
