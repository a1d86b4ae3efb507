"""Whose wallet: what tells that two sandboxes mine for the same one, without saying for which.

A wallet is compared by a keyed digest (HMAC-SHA256, RFC 2104) made before redaction, and shown by
its first 6 and last 4 characters. Who reads the store but has no key can neither read a wallet nor
try out which it is.
"""

import hmac
import re
from dataclasses import dataclass

from davylamp.signatures.wallets import find_wallet

_WORD = re.compile(rb"[0-9A-Za-z:.+/_-]{26,512}")  # what an address and a worker's name are made of
_KEPT_FIRST, _KEPT_LAST = 6, 4
_DIGEST_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class WalletMark:
    """A wallet as it may be stored: ``digest`` is empty where there is no key."""

    digest: str = ""
    shown: str = ""
    coin: str = ""


NO_WALLET = WalletMark()


def wallet_mark(excerpt: bytes, key: bytes) -> WalletMark:
    """Return the mark of the first wallet in a message, `NO_WALLET` where there is none."""
    for word in _WORD.findall(excerpt):
        wallet = find_wallet(word.decode("ascii"))
        if wallet is not None:
            address = wallet.address
            shown = f"{address[:_KEPT_FIRST]}***{address[-_KEPT_LAST:]}"
            return WalletMark(_digest(address, key), shown, wallet.coin)
    return NO_WALLET


def _digest(address: str, key: bytes) -> str:
    if not key:
        return ""
    # The case of an Ethereum address is a checksum (EIP-55), and not every miner writes it.
    name = address.lower() if address.startswith("0x") else address
    return hmac.new(key, name.encode(), "sha256").hexdigest()[:_DIGEST_CHARACTERS]
