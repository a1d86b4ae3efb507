"""Examples of mining and of what resembles it."""

import pytest
from tests.streams import LOGIN, SUBSCRIBE, core_pack

from davylamp.accuracy.examples import Example, Message
from davylamp.accuracy.judge import Judge
from davylamp.flow import Direction
from davylamp.policy import Policy
from davylamp.signatures.model import SignatureId


def said(line: bytes, direction: Direction = Direction.ORIGINATOR) -> Message:
    """Return a line of JSON as a message."""
    return Message(direction, line.rstrip(b"\n"), b"\n", is_json=True)


@pytest.fixture(scope="session")
def judge() -> Judge:
    """Return a judge by the core pack and the default policy."""
    return Judge(core_pack(), Policy())


@pytest.fixture
def subscribe() -> Example:
    """Return an example that its method's name gives away."""
    return Example(
        "subscribe", (said(SUBSCRIBE),), SignatureId("stratum-v1-subscribe"), "stratum-v1"
    )


@pytest.fixture
def login() -> Example:
    """Return an example of another dialect."""
    return Example("login", (said(LOGIN),), SignatureId("cryptonote-login"), "cryptonote")
