"""Coin addresses by their shape: alphabet, length and first characters.

Shape only: checksums are not verified, because a miner with a mistyped wallet still mines. Sources:
Monero documentation (docs.getmonero.org, "Public address"): standard 95 characters from ``4``,
integrated 106 from ``4``, subaddress 95 from ``8``; Bitcoin: base58check version bytes (wiki "List
of address prefixes"), BIP 173 and BIP 350; Ethereum: ``0x`` and 40 hexadecimal digits; Zcash
protocol specification section 5.6 (``t1``, ``t3``); Litecoin chainparams (``L``, ``M``, ``ltc1``);
CashAddr specification (``bitcoincash:``, and Kaspa's kin after their own prefixes); Conflux CIP-37
(``cfx:``); CKB RFC 21 (``ckb1``); Decred dcrd chaincfg (``Ds``); Aleo account documentation
(``aleo1``); Alephium, Xelis, Pearl, Zano and Qubic as their stratum documents show them. Where
coins share a shape, the ticker is left empty.
"""

from dataclasses import dataclass

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "023456789acdefghjklmnpqrstuvwxyz"
_BASE32 = "0123456789abcdefghjkmnprstuvwxyz"
_HEX = "0123456789abcdefABCDEF"
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MAX_LOGIN = 512
_MAX_WORKER = 96
_SHORTEST = 26


@dataclass(frozen=True, slots=True)
class Wallet:
    """An address found in a login or worker name; ``coin`` is a ticker or empty."""

    address: str
    coin: str


@dataclass(frozen=True, slots=True)
class _Form:
    """``prefix`` then characters of ``alphabet``, ``low`` to ``high`` characters in all."""

    prefix: str
    alphabet: str
    low: int
    high: int
    coin: str

    def fits(self, text: str) -> bool:
        """Tell whether the text has this form; the cost is at most its length."""
        return (
            self.low <= len(text) <= self.high
            and text.startswith(self.prefix)
            and not text[len(self.prefix) :].strip(self.alphabet)
        )


# Narrow forms first: the first that fits names the coin.
_FORMS = (
    _Form("4", _BASE58, 95, 95, "XMR"),
    _Form("8", _BASE58, 95, 95, "XMR"),
    _Form("4", _BASE58, 106, 106, "XMR"),
    _Form("Wo", _BASE58, 97, 97, "WOW"),
    _Form("TRTL", _BASE58, 99, 99, "TRTL"),
    _Form("ZEPH", _BASE58, 94, 120, "ZEPH"),
    _Form("0x", _HEX, 42, 42, "ETH"),
    _Form("bc1", _BECH32, 42, 42, "BTC"),
    _Form("bc1", _BECH32, 62, 62, "BTC"),
    _Form("1", _BASE58, 26, 34, "BTC"),
    _Form("3", _BASE58, 33, 35, "BTC"),
    _Form("ltc1", _BECH32, 43, 43, "LTC"),
    _Form("ltc1", _BECH32, 63, 63, "LTC"),
    _Form("L", _BASE58, 33, 34, "LTC"),
    _Form("M", _BASE58, 33, 34, "LTC"),
    _Form("t1", _BASE58, 35, 35, "ZEC"),
    _Form("t3", _BASE58, 35, 35, "ZEC"),
    _Form("bitcoincash:", _BECH32, 54, 54, "BCH"),
    _Form("kaspa:", _BECH32, 67, 69, "KAS"),
    _Form("karlsen:", _BECH32, 69, 71, "KLS"),
    _Form("pyrin:", _BECH32, 67, 69, "PYI"),
    _Form("spectre:", _BECH32, 69, 71, "SPR"),
    _Form("hoosat:", _BECH32, 68, 70, "HTN"),
    _Form("nexa:", _BECH32, 53, 70, "NEXA"),
    _Form("xel:", _BECH32, 63, 63, "XEL"),
    _Form("cfx:", _BASE32, 46, 46, "CFX"),
    _Form("k:", _HEX, 66, 66, "KDA"),
    _Form("aleo1", _BECH32, 63, 63, "ALEO"),
    _Form("ckb1", _BECH32, 46, 110, "CKB"),
    _Form("hs1", _BECH32, 42, 42, "HNS"),
    _Form("prl1", _BECH32, 62, 63, "PRL"),
    _Form("Ds", _BASE58, 35, 35, "DCR"),
    _Form("Zx", _BASE58, 97, 97, "ZANO"),
    _Form("1", _BASE58, 44, 46, "ALPH"),
    _Form("", _CAPITALS, 60, 60, "QUBIC"),
    _Form("9", _BASE58, 51, 51, "ERG"),
    _Form("dero1", _BECH32, 60, 120, "DERO"),
    _Form("D", _BASE58, 34, 34, ""),  # Dogecoin, DigiByte
    _Form("R", _BASE58, 34, 34, ""),  # Ravencoin, Verus, Komodo
    _Form("X", _BASE58, 34, 34, ""),  # Dash and its kin
    _Form("NH", _BASE58, 34, 36, ""),  # NiceHash's own account addresses
    _Form("", _BASE58, 90, 200, ""),  # the other CryptoNote coins
)


def find_wallet(login: str) -> Wallet | None:
    """Return the address that a login or worker name begins with.

    Pools let a miner write ``WALLET.worker``, ``WALLET+difficulty``, ``WALLET/worker/mail`` and
    ``COIN:WALLET``; all of them are read. Looks at the first 512 characters at most.
    """
    head = login[:_MAX_LOGIN]
    for separator in "./+,;@~# ":
        head = head.partition(separator)[0]
    for address in (head, head.rpartition(":")[2]):
        for form in _FORMS:
            if form.fits(address):
                return Wallet(address, form.coin)
    return None


def names_worker(login: str) -> bool:
    """Tell whether a login is an address, a dot and a worker's name, as ``ADDRESS.rig7``.

    Pools ask for it; wallets and explorers that pass addresses about do not write one.
    """
    head, dot, worker = login[:_MAX_LOGIN].partition(".")
    if not dot or len(head) < _SHORTEST or not 0 < len(worker) <= _MAX_WORKER:
        return False
    return worker.isprintable() and " " not in worker and find_wallet(head) is not None


def coin_of_wallet(login: str) -> str:
    """Return the ticker that an address stands for, or an empty string."""
    wallet = find_wallet(login)
    return wallet.coin if wallet else ""
