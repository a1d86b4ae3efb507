"""What a mitmproxy worker says is logged, and no more of it than somebody reads."""

import asyncio
import logging
from pathlib import Path

import pytest

from davylamp.config import GatewayConfig
from davylamp.interception.process import MitmproxyWorker
from davylamp.updates.loading import PackSource
from davylamp.workers.orders import Brief


def test_a_long_line_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """Strangers' bytes are in some, such as a hello that cannot be read."""

    async def log() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(b"short\n" + b"16" * 20_000 + b"\n")
        stream.feed_eof()
        brief = Brief(config=GatewayConfig(), pack=PackSource(path="pack"))
        worker = MitmproxyWorker(
            0,
            1,
            brief=brief,
            folder=Path(),
            on_record=lambda *_: None,
            on_change=lambda: None,
        )
        await worker._log(stream)

    with caplog.at_level(logging.WARNING):
        asyncio.run(log())
    short, long = (record.getMessage() for record in caplog.records)
    assert short == "mitmproxy-0: short"
    assert long.startswith("mitmproxy-0: 1616")
    assert len(long) < 1100
