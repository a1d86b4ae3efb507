"""Words of mining software."""

import pytest

from davylamp.signatures.vocabulary import coin_of_algo, is_algo, is_miner_agent


@pytest.mark.parametrize(
    "agent",
    ["XMRig/6.26.0 (Linux x86_64)", "cgminer/4.10.0", "xmr-stak-cpu/1.3.0", "T-Rex 0.26", "minerd"],
)
def test_a_miners_agent_is_known(agent: str) -> None:
    """The name may be in any case and have a version after it."""
    assert is_miner_agent(agent)


@pytest.mark.parametrize(
    "agent", ["", "curl/8.5", "Mozilla/5.0 xmrig", "gminerals/1", "rigelian", "my xmrig/6"]
)
def test_other_agents_are_not(agent: str) -> None:
    """The name must begin the agent and end where it ends."""
    assert not is_miner_agent(agent)


def test_algorithms_by_family_and_name() -> None:
    """CryptoNote-family names are known; key exchange and hash names are not."""
    assert all(map(is_algo, ("rx/0", "cn/r", "cn-lite/1", "argon2/chukwa", "kawpow")))
    assert not any(map(is_algo, ("", "sha256", "rsa", "aes-gcm", "cn" * 9)))
    assert not is_algo("rx/" + "0" * 64)


def test_an_algorithm_names_a_coin_only_where_it_is_one() -> None:
    """RandomX as Monero has it is Monero's; a family is nobody's."""
    assert coin_of_algo("rx/0") == "XMR"
    assert coin_of_algo("cn/0") == ""
