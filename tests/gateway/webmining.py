"""Mining over WebSocket as browsers and GPU miners do it, both ends.

    webmining.py pool DIALECT HOST PORT [CHAIN KEY]   a JSON line for each request received whole
    webmining.py miner DIALECT URL    exit 0: a share was accepted; 3: reset; 1: else

Coinhive's is that of deepMiner's server.js (auth, authed, job, submit, hash_accepted). Xelis' and
DERO's daemons push a job to whoever opens ``/getwork/ADDRESS/WORKER`` or ``/ws/ADDRESS``, and take
shares from it (xelis-blockchain's and derohe's getwork servers).
"""

import asyncio
import hashlib
import json
import ssl
import sys
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from davylamp.lab.programs.report import Reporter

type Message = dict[str, Any]

PATHS = {
    "coinhive": "/proxy",
    "xelis": "/getwork/xel:" + "q" * 59 + "/rig",
    "dero": "/ws/dero1qy" + "q" * 59,
}
_reporter = Reporter()


def made_up(name: str, size: int) -> str:
    """Return so many bytes in hexadecimal, the same for the same name."""
    return hashlib.shake_256(name.encode()).hexdigest(size)


JOBS: Mapping[str, Message] = {
    "coinhive": {
        "type": "job",
        "params": {
            "job_id": "164698158344253",
            "blob": made_up("blob", 76),
            "target": "ffffff00",
        },
    },
    "xelis": {
        "new_job": {
            "algorithm": "xel/v2",
            "miner_work": made_up("work", 112),
            "height": 900_000,
            "topoheight": 900_500,
            "difficulty": "45000000",
        }
    },
    "dero": {
        "jobid": "1700000000.0.notified",
        "blocktemplate_blob": made_up("template", 48),
        "blockhashing_blob": made_up("hashing", 48),
        "difficulty": "45000",
        "difficultyuint64": 45_000,
        "height": 3_000_000,
        "prev_hash": made_up("previous", 32),
        "epochmilli": 0,
        "blocks": 1,
        "miniblocks": 9,
        "rejected": 0,
        "lasterror": "",
        "status": "",
    },
}
LOGIN: Message = {
    "type": "auth",
    "params": {"site_key": "N8Vh3kNEQRUDHuCgwHOiIMWAnVw1GUYk", "type": "anonymous", "user": None},
}
SHARES: Mapping[str, Message] = {
    "coinhive": {
        "type": "submit",
        "params": {
            "job_id": "164698158344253",
            "nonce": made_up("nonce", 4),
            "result": made_up("result", 32),
        },
    },
    "xelis": {"block_template": made_up("share", 112)},
    "dero": {"jobid": "1700000000.0.notified", "mbl_blob": made_up("share", 48)},
}
ACCEPTED: Mapping[str, Message] = {
    "coinhive": {"type": "hash_accepted", "params": {"hashes": 256}},
    "xelis": {"block_accepted": True},
    "dero": {"jobid": "1700000000.0.notified", "blocks": 1, "miniblocks": 10, "rejected": 0},
}


async def pool(dialect: str, host: str, port: int, tls: ssl.SSLContext | None) -> None:
    """Serve until killed."""

    async def answer(peer: ServerConnection) -> None:
        _reporter.say("opened", path=peer.request.path if peer.request else "")
        try:
            if dialect != "coinhive":
                await say(peer, JOBS[dialect])
            async for text in peer:
                message = json.loads(text)
                _reporter.say("request", text=str(text))
                if message.get("type") == "auth":
                    await say(peer, {"type": "authed", "params": {"token": None, "hashes": 0}})
                    await say(peer, JOBS[dialect])
                elif message == SHARES[dialect]:
                    await say(peer, ACCEPTED[dialect])
            _reporter.say("ended")
        except ConnectionClosed as error:
            _reporter.say("reset" if was_reset(error) else "closed")

    async with serve(answer, host, port, ssl=tls, open_timeout=20) as server:
        _reporter.ready()
        await server.serve_forever()


async def miner(dialect: str, url: str) -> int:
    """Log in where one does, wait for a job, hand in a share; return the exit status."""
    tls = None
    if url.startswith("wss:"):  # which verifies nothing, as miners do
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    _reporter.ready()
    try:
        async with asyncio.timeout(20), connect(url, ssl=tls, proxy=None) as peer:
            _reporter.say("connected")
            if dialect == "coinhive":
                await say(peer, LOGIN)
                if (await hear(peer))["type"] != "authed":
                    return 1
            if await hear(peer) != JOBS[dialect]:
                return 1
            await say(peer, SHARES[dialect])
            return 0 if await hear(peer) == ACCEPTED[dialect] else 1
    except InvalidStatus as error:
        _reporter.say("answered", status=error.response.status_code)
        return 1
    except (OSError, ConnectionClosed, InvalidMessage) as error:
        _reporter.say("reset" if was_reset(error) else "closed", error=repr(error))
        return 3 if was_reset(error) else 1


async def say(peer: ClientConnection | ServerConnection, message: Message) -> None:
    """Send one message as text."""
    await peer.send(json.dumps(message))


async def hear(peer: ClientConnection) -> Message:
    """Return the next message."""
    heard: Message = json.loads(await peer.recv())
    _reporter.say("received", text=json.dumps(heard))
    return heard


def was_reset(error: BaseException | None) -> bool:
    """Tell whether a TCP reset is behind an exception."""
    while error is not None and not isinstance(error, ConnectionResetError):
        error = error.__cause__ or error.__context__
    return error is not None


def main(role: str, dialect: str, *rest: str) -> int:
    """Be one end."""
    if role == "miner":
        return asyncio.run(miner(dialect, rest[0] + PATHS[dialect]))
    host, port, *pair = rest
    tls = None
    if pair:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*pair)
    asyncio.run(pool(dialect, host, int(port), tls))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
