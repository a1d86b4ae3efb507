"""JA4 against the examples of its specification."""

import pytest

from davylamp.inspection.wire.ja4 import GREASE, alpn_code, fingerprint

# The worked example of FoxIO's JA4.md, in the wire order of its JA4_ro.
CIPHERS = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035")
EXTENSIONS = bytes.fromhex("001b00000033001044690017002d000d000500230012002bff01000b000a0015")
ALGORITHMS = bytes.fromhex("04030804040105030805050108060601")


def _numbers(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[n : n + 2]) for n in range(0, len(raw), 2)]


def _ja4(
    *,
    version: int = 0x0304,
    alpn: bytes = b"h2",
    ciphers: bytes = CIPHERS,
    extensions: bytes = EXTENSIONS,
    algorithms: bytes = ALGORITHMS,
) -> str:
    return fingerprint(
        version=version,
        first_alpn=alpn,
        ciphers=_numbers(ciphers),
        extensions=_numbers(extensions),
        signature_algorithms=_numbers(algorithms),
    )


def test_specification_example() -> None:
    """The hello that the specification works through has the fingerprint it prints."""
    assert _ja4() == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_no_signature_algorithms() -> None:
    """Without signature algorithms the hashed text ends without an underscore."""
    assert _ja4(algorithms=b"") == "t13d1516h2_8daaf6152771_6d807ffa2a79"


def test_nothing_to_hash() -> None:
    """Empty lists are zeros, not the hash of nothing."""
    assert _ja4(alpn=b"", ciphers=b"", extensions=b"", algorithms=b"") == (
        "t13i000000_000000000000_000000000000"
    )


def test_only_sni_and_alpn() -> None:
    """SNI and ALPN are counted but not hashed, so a hello with no more has zeros."""
    assert _ja4(extensions=b"\x00\x00\x00\x10").endswith("d1502h2_8daaf6152771_000000000000")


def test_grease_counts_nowhere() -> None:
    """GREASE among ciphers, extensions and signature algorithms changes nothing."""
    grease = b"".join(value.to_bytes(2) for value in sorted(GREASE))
    assert (
        _ja4(
            ciphers=grease + CIPHERS,
            extensions=EXTENSIONS + grease,
            algorithms=ALGORITHMS[:2] + grease + ALGORITHMS[2:],
        )
        == _ja4()
    )


def test_counts_stop_at_99() -> None:
    """More than 99 ciphers or extensions are printed as 99."""
    many = b"".join(n.to_bytes(2) for n in range(0x1000, 0x1100))
    assert _ja4(ciphers=many, extensions=many).startswith("t13i9999h2_")


@pytest.mark.parametrize(
    ("version", "code"),
    [(0x0304, "13"), (0x0303, "12"), (0x0301, "10"), (0x0300, "s3"), (2, "s2"), (0x7F1C, "00")],
)
def test_versions(version: int, code: str) -> None:
    """Versions have two characters, unknown ones and drafts are 00."""
    assert _ja4(version=version)[1:3] == code


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"", "00"),
        (b"x", "xx"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
    ],
)
def test_alpn_code(first: bytes, code: str) -> None:
    """The specification's table of ALPN values holds."""
    assert alpn_code(first) == code
