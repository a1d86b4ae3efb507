# /// script
# [tool.near-misses]
# debian = ["openvswitch-common", "openvswitch-switch"]
# ///
"""OVSDB: JSON-RPC 1.0 straight over TCP, messages back to back with no newline."""

import threading
import time
from pathlib import Path

from quotes import AUTHORIZE, NOTIFY
from stage import ENVIRONMENT, debian, program, recorded, run

PORT = 6640


def main() -> None:
    """Record the family."""
    schema = ENVIRONMENT / "debian/usr/share/openvswitch/vswitch.ovsschema"
    run(["ovsdb-tool", "create", "/mnt/work/conf.db", schema])
    server = ["ovsdb-server", "/mnt/work/conf.db", f"--remote=ptcp:{PORT}:127.0.0.1"]
    client = ["ovsdb-client"]
    at = f"tcp:127.0.0.1:{PORT}"
    software = [debian("openvswitch-switch"), debian("openvswitch-common")]
    where = [*server, "--unixctl=/mnt/work/ctl", "--no-chdir"]
    insert = (
        '["Open_vSwitch", {"op": "insert", "table": "Bridge", "row": {"name": "br-rig7", '
        '"external_ids": ["map", [["quoted", %s], ["job", %s]]]}, "uuid-name": "b"}, '
        '{"op": "mutate", "table": "Open_vSwitch", "where": [], '
        '"mutations": [["bridges", "insert", ["named-uuid", "b"]]]}]'
    )
    quoted = tuple('"' + text.replace('"', '\\"') + '"' for text in (AUTHORIZE, NOTIFY))
    with program(where, port=PORT):
        with recorded(
            "ovsdb",
            software=software,
            does="lists databases, reads the schema, inserts a bridge, selects and dumps it",
            near="JSON-RPC with id and params and no version over TCP; columns quote Stratum",
        ):
            run([*client, "list-dbs", at])
            run([*client, "get-schema-version", at, "Open_vSwitch"])
            root = '["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {}}]'
            run([*client, "transact", at, root])
            run([*client, "transact", at, insert % quoted])
            select = '["Open_vSwitch", {"op": "select", "table": "Bridge", "where": []}]'
            run([*client, "transact", at, select])
            run([*client, "dump", at, "Open_vSwitch", "Bridge"])
        with recorded(
            "ovsdb-monitor",
            software=software,
            does="monitors a table while a row of it is changed",
            near="a server pushes updates with a null id, as a pool pushes jobs",
        ):
            watching = [*client, "monitor", at, "Open_vSwitch", "Bridge", "name,external_ids"]
            change = (
                '["Open_vSwitch", {"op": "update", "table": "Bridge", "where": [], '
                '"row": {"external_ids": ["map", [["job_id", "%s"], ["worker", "rig7"]]]}}]'
            )

            def alter() -> None:
                for number in range(6):
                    time.sleep(0.15)
                    run([*client, "transact", at, change % f"{number:064x}"])

            with program(watching):
                altering = threading.Thread(target=alter)
                altering.start()
                altering.join()
    assert Path("conf.db").exists()


if __name__ == "__main__":
    main()
