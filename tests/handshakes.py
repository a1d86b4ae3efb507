"""TLS handshakes as OpenSSL's two ends hold them, in memory."""

import ssl

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from davylamp.flow import Direction
from davylamp.lab.programs.certs import Leaf

C, S = Direction.ORIGINATOR, Direction.RESPONDER
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

type Stream = list[tuple[Direction, bytes]]


def handshake(leaf: Leaf, version: ssl.TLSVersion, *, again: bool = False) -> Stream:
    """Return what OpenSSL's two ends say to each other; ``again`` of a session that is resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    server_context = leaf.server_context()
    for one in (context, server_context):
        one.minimum_version = one.maximum_version = version
    stream, session = _once(context, server_context, None)
    return _once(context, server_context, session)[0] if again else stream


def _once(
    context: ssl.SSLContext, server_context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[Stream, ssl.SSLSession | None]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, session=session)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    stream: Stream = []
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for end, out, direction in ((client, to_server, C), (server, to_client, S)):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
            if out.pending:
                said = out.read()
                out.write(said)
                stream.append((direction, said))
    return stream, client.session


def der_of(leaf: Leaf) -> bytes:
    """Return the certificate in DER."""
    return x509.load_pem_x509_certificate(leaf.chain.read_bytes()).public_bytes(Encoding.DER)
