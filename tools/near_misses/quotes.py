"""Stratum as people write about it: what documents, logs, prompts and pull requests quote.

Every message is one that a pool or a miner would understand; nobody here says it to one.
"""

WALLET = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
MONERO = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"

SUBSCRIBE = '{"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.9.2"]}'
AUTHORIZE = '{"id": 2, "method": "mining.authorize", "params": ["%s.rig7", "x"]}' % WALLET
SUBMIT = (
    '{"id": 4, "method": "mining.submit", "params": ["%s.rig7", "bf", "00000001", "504e86ed", "b2957c02"]}'
    % WALLET
)
NOTIFY = '{"id": null, "method": "mining.notify", "params": ["bf", "4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000", "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff20020862062f503253482f04b8864e5008", "072f736c7573682f000000000100f2052a010000001976a914d23fcdf86f7e756a64a7a9688ef9903327048ed988ac00000000", [], "00000002", "1c2ac4af", "504e86b9", false]}'
LOGIN = (
    '{"id": 1, "jsonrpc": "2.0", "method": "login", "params": {"login": "%s", "pass": "x", "agent": "XMRig/6.21.0 (Linux x86_64)", "algo": ["rx/0", "cn/r"]}}'
    % MONERO
)
JOB = (
    '{"jsonrpc": "2.0", "method": "job", "params": {"blob": "'
    + "1010" * 38
    + '", "job_id": "17", "target": "b88d0600", "algo": "rx/0", "height": 3000000, "seed_hash": "'
    + "ab" * 32
    + '"}}'
)
SHARE = (
    '{"id": 2, "jsonrpc": "2.0", "method": "submit", "params": {"id": "f1", "job_id": "17", "nonce": "01000000", "result": "'
    + "cd" * 32
    + '"}}'
)
ETH_LOGIN = '{"id": 1, "jsonrpc": "2.0", "method": "eth_submitLogin", "params": ["0x52bc44d5378309ee2abf1539bf71de1b7d7be3b5", "x"], "worker": "rig7"}'

MESSAGES = (SUBSCRIBE, AUTHORIZE, NOTIFY, SUBMIT, LOGIN, JOB, SHARE, ETH_LOGIN)
"""Messages of both sides, one a line where they are joined by newlines."""

LOG = "\n".join(
    f"2026-01-01T00:00:{second:02d}Z pool[812]: {'->' if second % 2 else '<-'} {message}"
    for second, message in enumerate(MESSAGES)
)
"""A pool's log at its most talkative level."""

DOCUMENT = f"""\
# How a miner talks to a pool

A miner opens a TCP connection and says, on a line of its own:

{SUBSCRIBE}
{AUTHORIZE}

The pool hands out work, and the miner hands in a share:

{NOTIFY}
{SUBMIT}

Monero's dialect logs in first:

```json
{LOGIN}
{JOB}
{SHARE}
```

An Ethereum proxy says `{ETH_LOGIN}`.
"""
"""A page of documentation, with messages on lines of their own."""

TRANSCRIPT = "\n".join(MESSAGES) + "\n"
"""The bare lines of a session, as ``nc`` or ``tcpflow`` would save them."""

CODE = "\n".join(
    ["CASES = ["]
    + [f"    ({number}, {message!r})," for number, message in enumerate(MESSAGES)]
    + ["]", ""]
)
"""A test's table in Python."""
