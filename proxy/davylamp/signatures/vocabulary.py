"""Words that mining software says of itself: agents and algorithm names.

Sources: the ``agent`` of login and subscribe messages in public captures and in each program's own
documentation; algorithm names from XMRig's doc/ALGORITHMS.md. A word is evidence only inside the
message that carries it in its place, never by itself.
"""

_AGENTS = (
    "alephium-miner",
    "antminer",
    "ariaminer",
    "astrominer",
    "avalonminer",
    "bfgminer",
    "bitaxe",
    "bminer",
    "bosminer",
    "bzminer",
    "cast_xmr",
    "ccminer",
    "cfxmine",
    "cgminer",
    "ckbminer",
    "claymore",
    "cortexminer",
    "cpuminer",
    "cpuminer-opt",
    "cryptodredge",
    "deepminer",
    "dero-miner",
    "dynexsolve",
    "epic-miner",
    "etcminer",
    "ethdcrminer64",
    "ethminer",
    "ewbf",
    "excavator",
    "gminer",
    "golden-miner",
    "goldenminer",
    "goldshell",
    "gominer",
    "grin-miner",
    "hellminer",
    "hspminer",
    "ironfish-miner",
    "jceminer",
    "karlsen-miner",
    "kaspa-miner",
    "kawpowminer",
    "lolminer",
    "luckyminer",
    "minerd",
    "miniz",
    "mkxminer",
    "nanominer",
    "nbminer",
    "nerdminer",
    "nerdminerv",
    "nerdqaxe",
    "nheqminer",
    "nicehash",
    "nockpool-miner",
    "onezerominer",
    "p2pool",
    "peakminer",
    "phoenixminer",
    "progpowminer",
    "qubic-miner",
    "rigel",
    "serominer",
    "sgminer",
    "spectre-miner",
    "srbminer",
    "stratum-ping",
    "t-rex",
    "teamredminer",
    "tnn-miner",
    "tnnminer",
    "trex",
    "tt-miner",
    "verusminer",
    "whatsminer",
    "wildrig",
    "xmr-node-proxy",
    "xmr-stak",
    "xmrig",
    "xmrig-cuda",
    "xmrig-proxy",
    "z-enemy",
    "zjazz",
    "zminer",
)

_ALGO_FAMILIES = (
    *("cn/", "cn-lite/", "cn-heavy/", "cn-pico", "cn-half", "rx/", "argon2/chukwa", "argon2/wrkz"),
    "cryptonight",
)
_ALGO_NAMES = frozenset(
    {"astrobwt", "cn", "cn-heavy", "cn-lite", "cryptonight", "ghostrider", "gr"}
    | {"kawpow", "panthera", "randomx", "rx"}
)

# XMRig doc/ALGORITHMS.md, column "Notes"; only those that name one coin.
_COIN_BY_ALGO = {
    "argon2/chukwa": "TRTL",
    "argon2/chukwav2": "TRTL",
    "cn-heavy/tube": "TUBE",
    "cn-heavy/xhv": "XHV",
    "cn-pico": "TRTL",
    "cn/ccx": "CCX",
    "cn/gpu": "RYO",
    "cn/r": "XMR",
    "kawpow": "RVN",
    "rx/0": "XMR",
    "rx/arq": "ARQ",
    "rx/graft": "GRFT",
    "rx/keva": "KVA",
    "rx/sfx": "SFX",
    "rx/wow": "WOW",
    "rx/yada": "YDA",
}


def is_miner_agent(text: str) -> bool:
    """Tell whether a user agent begins with a known miner's name, as ``XMRig/6.26.0 (...)`` does.

    The name must end there: ``gminer/3.4`` is one, ``gminerals`` is not.
    """
    head = text[:32].casefold()
    if not head.startswith(_AGENTS):  # nearly all; one call asks for every name
        return False
    return any(
        head.startswith(name) and not head[len(name) : len(name) + 1].isalpha() for name in _AGENTS
    )


def is_algo(text: str) -> bool:
    """Tell whether a string is a CryptoNote-family algorithm name, as ``rx/0`` or ``cn/r``."""
    return len(text) <= 32 and (text.startswith(_ALGO_FAMILIES) or text in _ALGO_NAMES)


def coin_of_algo(text: str) -> str:
    """Return the ticker of the coin that an algorithm is known for, or an empty string."""
    return _COIN_BY_ALGO.get(text, "")
