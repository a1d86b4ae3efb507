"""What is served without a password on a loopback address: ``/metrics``, and ``/healthz``.

``/healthz`` is for who starts and ends gateways: 200 while it is well, else 503 and why. What is
wrong around it, and would be after another start, follows in the text of a 200.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import web

from davylamp.errors import ConfigError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def read_listen(text: str) -> tuple[IPv4Address | IPv6Address, int] | None:
    """Read ``127.0.0.1:9464`` or ``[::1]:9464``; None where it is no address and port."""
    host, _, port = text.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port) if port.isascii() and port.isdecimal() else -1
    except ValueError:
        return None
    return (address, number) if 0 <= number <= 65535 else None


def parse_listen(text: str) -> tuple[str, int]:
    """Read ``127.0.0.1:9464`` or ``[::1]:9464``; raise ConfigError where it is not loopback."""
    read = read_listen(text)
    if read is not None and read[0].is_loopback:
        return str(read[0]), read[1]
    raise ConfigError(
        f"metrics.listen is {text!r}; write a loopback address and a port, as 127.0.0.1:9464: "
        "there is no password, and a proxy of your own can add one"
    )


@asynccontextmanager
async def serving(
    listen: str,
    exposition: Callable[[], bytes],
    unfit: Callable[[], str] = lambda: "",
    noted: Callable[[], Sequence[str]] = tuple,
) -> AsyncIterator[int]:
    """Serve while entered, and give the port; raise ConfigError where it cannot be listened on.

    ``unfit`` says what is wrong with the gateway, ``noted`` what is around it; nothing where all is
    well.
    """
    host, port = parse_listen(listen)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def healthy(_: web.Request) -> web.Response:
        wrong = unfit()
        lines = (wrong or "ok", *noted())
        text = "".join(f"{one}\n" for one in lines)
        return web.Response(status=503 if wrong else 200, text=text)

    app = web.Application(client_max_size=0)
    app.router.add_get("/metrics", answer)
    app.router.add_get("/healthz", healthy)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            taken = os.strerror(error.errno or 0)  # asyncio's words say the address again
            raise ConfigError(f"metrics.listen {listen}: {taken}; choose another port") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
