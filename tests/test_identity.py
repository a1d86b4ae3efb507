"""Wallets: told to be the same, and never said."""

import pytest

from davylamp.identity import NO_WALLET, wallet_mark

XMR = "4" + "7" * 94
ETH = "0xAbCdEf0123456789aBcDeF0123456789AbCdEf01"


def login(user: str) -> bytes:
    """Return a CryptoNote login with that user."""
    return b'{"id":1,"method":"login","params":{"login":"%s","pass":"x"}}' % user.encode()


@pytest.mark.parametrize("user", [XMR, f"{XMR}.rig7", f"{XMR}+25000", f"XMR:{XMR}"])
def test_one_wallet_has_one_digest_however_it_is_written(user: str) -> None:
    """Worker names, difficulties and coins around it change nothing; and it is not shown."""
    mark = wallet_mark(login(user), b"k" * 32)
    assert mark == wallet_mark(login(XMR), b"k" * 32)
    assert (mark.shown, mark.coin) == ("477777***7777", "XMR")
    assert XMR not in repr(mark)


def test_the_digest_depends_on_the_key_and_the_wallet() -> None:
    """Without the key a wallet that is guessed cannot be tried out."""
    marks = {wallet_mark(login(one), key).digest for one in (XMR, ETH) for key in (b"a", b"b")}
    assert len(marks) == 4
    assert wallet_mark(login(XMR), b"").digest == ""


def test_the_case_of_an_ethereum_address_is_a_checksum() -> None:
    """Two miners that write it in different case mine for the same one."""
    digest = wallet_mark(login(ETH), b"k").digest
    assert digest == wallet_mark(login(ETH.lower()), b"k").digest


@pytest.mark.parametrize(
    "said",
    [
        b'{"id":4,"method":"mining.submit","params":["rig","0000abcd","00000000","5f5e1000"]}',
        b'{"job_id":"' + b"0123456789abcdef" * 9 + b'"}',
        b"\xff" * 600,
        b"",
    ],
)
def test_what_is_no_wallet_has_no_mark(said: bytes) -> None:
    """Job ids, blobs and noise are not taken for one."""
    assert wallet_mark(said, b"k") == NO_WALLET
