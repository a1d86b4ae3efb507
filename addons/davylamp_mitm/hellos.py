"""How TLS begins: read as leniently as servers read it, and within bounds.

mitmproxy tells TLS by three bytes of the client's first segment, and takes all else for raw TCP,
which passes unopened. Servers are more lenient (OpenSSL 3.0; `davylamp.inspection.wire.tls` says in
what), and a client may send one byte first. So a beginning that may still become a hello waits for
more, any minor record version is TLS, and a hello that only servers can read is not passed on.

A hello that goes on and on is read from its beginning with each piece that comes, so its size and
its records are bounded.
"""

import contextlib

from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import HttpLayer, TCPLayer, tls

from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.tls import MAX_HELLO, MAX_SSLV2, ClientHelloReader

MAX_RECORDS = 512
"""Records of one hello; some clients put each byte of a small one into a record of its own."""

MAX_BYTES = 2 * MAX_HELLO
"""Bytes in which a hello must be whole, its records' headers included."""

_ALERT_BYTES = 7
_SSLV2 = 0x80
_TLS = b"\x16\x03"


def read_hellos() -> None:
    """Have mitmproxy read hellos so, from the next connection on."""
    from mitmproxy.addons import next_layer  # noqa: PLC0415 - all of mitmproxy's addons

    tls.get_client_hello = gathered
    for module in (tls, next_layer):
        module.starts_like_tls_record = begins_a_record  # type: ignore[attr-defined]


def begins_a_record(data: bytes) -> bool:
    """Tell whether a handshake record begins so, of whatever minor version."""
    return len(data) > len(_TLS) and data.startswith(_TLS)


def gathered(data: bytes) -> bytes | None:
    """Return the hello that a client's bytes begin with, without records; None if there is more.

    Raises ValueError where that is none, or larger than any hello is.
    """
    hello = bytearray()
    for number, fragment in enumerate(tls.handshake_record_contents(data)):
        if number == MAX_RECORDS:
            raise ValueError(f"a ClientHello in more than {MAX_RECORDS} records")
        hello += fragment
        size = 4 + int.from_bytes(hello[1:4])
        if 4 <= size <= len(hello):
            return bytes(hello[:size])
    if len(data) > MAX_BYTES:
        raise ValueError(f"a ClientHello of more than {MAX_BYTES} bytes")
    return None


def beyond_opening(layer: NextLayer) -> bool | None:
    """Tell whether TLS begins that is not taken for TLS; None while that is open.

    Servers pass over warnings before a hello, and take one as SSLv2 wrote it. No client that means
    well has begun so for many years.
    """
    chosen, data = layer.layer, layer.data_client()
    if not isinstance(chosen, HttpLayer | TCPLayer) or not data or layer.data_server():
        return False
    if isinstance(chosen, TCPLayer) and chosen.flow is None:  # somebody wants it ignored
        return False
    ancient = data[0] & _SSLV2
    match ClientHelloReader().feed(data[: MAX_SSLV2 + 2 if ancient else _ALERT_BYTES]):
        case Malformed():
            return False
        case None:
            return True if not ancient and len(data) >= _ALERT_BYTES else None
        case _:
            return True


def ask_again(layer: NextLayer) -> None:
    """Have a layer chosen when there is more; that of now leaves no trace."""
    with contextlib.suppress(ValueError):
        layer.context.layers.remove(layer.layer)  # type: ignore[arg-type]
    layer.layer = None
