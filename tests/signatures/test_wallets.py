"""Addresses by their shape."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.signatures.wallets import coin_of_wallet, find_wallet, names_worker

MONERO = "4" + "A" * 94


@pytest.mark.parametrize(
    ("login", "coin"),
    [
        (MONERO, "XMR"),
        ("8" + "z" * 94, "XMR"),
        ("4" + "z" * 105, "XMR"),
        ("0x" + "aB" * 20, "ETH"),
        ("1" + "B" * 33, "BTC"),
        ("3" + "B" * 33, "BTC"),
        ("bc1q" + "a" * 38, "BTC"),
        ("bc1p" + "a" * 58, "BTC"),
        ("ltc1q" + "a" * 38, "LTC"),
        ("L" + "B" * 33, "LTC"),
        ("t1" + "B" * 33, "ZEC"),
        ("bitcoincash:q" + "a" * 41, "BCH"),
        ("kaspa:q" + "a" * 60, "KAS"),
        ("9" + "B" * 50, "ERG"),
        ("xel:" + "q" * 59, "XEL"),
        ("spectre:q" + "a" * 62, "SPR"),
        ("cfx:a" + "k" * 41, "CFX"),
        ("k:" + "ab" * 32, "KDA"),
        ("aleo1" + "q" * 58, "ALEO"),
        ("ckb1" + "q" * 42, "CKB"),
        ("Ds" + "B" * 33, "DCR"),
        ("Zx" + "B" * 95, "ZANO"),
        ("1" + "B" * 44, "ALPH"),
        ("QUBIC" * 12, "QUBIC"),
        ("Wo" + "B" * 95, "WOW"),
    ],
)
def test_a_coin_is_told_by_alphabet_length_and_first_characters(login: str, coin: str) -> None:
    """Each documented form names its coin."""
    assert coin_of_wallet(login) == coin


@pytest.mark.parametrize("login", ["D" + "B" * 33, "R" + "B" * 33, "i" * 97])
def test_a_form_that_coins_share_names_none(login: str) -> None:
    """It is an address, but whose is not said."""
    assert find_wallet(login) is not None
    assert coin_of_wallet(login) == ""


@pytest.mark.parametrize(
    "suffix", [".rig1", "/rig1/a@example.org", "+5000", "#ref", ".a.b+1", "@x", " x", ""]
)
def test_what_pools_let_a_miner_append_is_left_out(suffix: str) -> None:
    """The address is what stands before the worker, difficulty or mail."""
    wallet = find_wallet(MONERO + suffix)
    assert wallet is not None
    assert wallet.address == MONERO


def test_a_payout_coin_may_stand_before_the_address() -> None:
    """COIN:ADDRESS is read as the address."""
    assert coin_of_wallet("SHIB:0x" + "ab" * 20 + ".w#x") == "ETH"


@pytest.mark.parametrize(
    "login",
    [
        "",
        "ann",
        "ann@example.org",
        "0x" + "ab" * 19,
        "0x" + "ag" * 20,
        "4" + "A" * 40,
        "4" + "A" * 60 + "0" + "A" * 33,
        "1" + "l" * 30,
        "123e4567-e89b-12d3-a456-426614174000",
        "bc1Q" + "a" * 38,
    ],
)
def test_other_logins_are_no_wallets(login: str) -> None:
    """A wrong length or a letter outside the alphabet is enough."""
    assert find_wallet(login) is None


@pytest.mark.parametrize(
    ("login", "worker"),
    [
        (MONERO + ".rig1", True),
        ("0x" + "ab" * 20 + ".a.b", True),
        (MONERO, False),
        (MONERO + ".", False),
        (MONERO + "." + "w" * 97, False),
        (MONERO + ".two words", False),
        ("ann.rig1", False),
        ("subdomain.of.some.long.host.example.org", False),
    ],
)
def test_a_worker_is_an_address_and_a_name(login: str, worker: bool) -> None:
    """A dot and a short name must follow the address."""
    assert names_worker(login) is worker


@given(st.text(max_size=2000))
@settings(max_examples=200, deadline=None)
def test_any_login_is_answered(login: str) -> None:
    """No text raises, and an address is part of the login."""
    wallet = find_wallet(login)
    assert wallet is None or wallet.address in login
