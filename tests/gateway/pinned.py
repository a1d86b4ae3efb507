"""A client that wants one certificate and no other, as a miner with a pinned pool does.

``python pinned.py trust|fingerprint HOST PORT WANTED VERSION`` exits 0 where it got its
certificate, 4 where it was shown another. ``trust`` has its own root and says so by an alert;
``fingerprint`` verifies nothing, compares once the handshake is over, and leaves. Neither asks for
a name.
"""

import hashlib
import socket
import ssl
import sys


def main(how: str, host: str, port: str, wanted: str, version: str) -> int:
    """Connect and look; ``wanted`` is a CA file, or a SHA-256 in hexadecimal."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if how == "trust":
        context.load_verify_locations(wanted)
    else:
        context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        try:
            with context.wrap_socket(raw) as peer:
                shown = hashlib.sha256(peer.getpeercert(binary_form=True) or b"").hexdigest()
                return 0 if how == "trust" or shown == wanted else 4
        except ssl.SSLCertVerificationError:
            return 4


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
