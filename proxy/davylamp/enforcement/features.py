"""What this kernel's nf_tables can do, found by asking it to check a rule and not to keep it."""

from davylamp.enforcement.programs import nft
from davylamp.enforcement.spec import Features
from davylamp.errors import KernelError

_CHAIN = """table inet davylamp_check {{
  {set}
  chain c {{
    {rule}
  }}
}}
"""
"""The chain is on no hook. One that is put on a hook, if only for a check, is taken off it again,
and then the kernel drops every packet that waits in any queue: another gateway may be at work.
"""

_LIMIT_SET = "set s { typeof ct id . ct direction; flags dynamic,timeout; timeout 9s; size 64; }"
_LIMIT_RULE = "update @s { ct id . ct direction limit rate over 5/second burst 5 packets } return"


def detect() -> Features:
    """Try each feature in this thread's network namespace, changing nothing there.

    Raises KernelError where nft itself cannot be used.
    """
    if failure := refusal("accept"):
        denied = "not permitted" in failure
        remedy = "run as root or with CAP_NET_ADMIN" if denied else "ask `davylamp doctor` why"
        raise KernelError(f"nftables cannot be used here ({failure}); {remedy}")
    return Features(
        native_queue=not refusal("queue flags bypass to 0-1"),
        inner_header=not refusal("@ih,0,8 >= 0 accept"),
        flow_limits=not refusal(_LIMIT_RULE, _LIMIT_SET),
        random=not refusal("numgen random mod 16 != 0 return"),
        option_reset=not refusal("reset tcp option mptcp"),
        own_addresses=not refusal("fib daddr type local return"),
    )


def refusal(rule: str, declared_set: str = "") -> str:
    """Return why the kernel would not take a rule, or an empty string if it would.

    ``nft --check`` sends the whole transaction and leaves out its commit, so that it is the running
    kernel that answers.
    """
    try:
        nft("--check", "--file", "-", stdin=_CHAIN.format(rule=rule, set=declared_set))
    except KernelError as error:
        return str(error)
    return ""
