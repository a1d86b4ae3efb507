"""Events to an OpenTelemetry collector, as logs over OTLP/HTTP in protobuf.

https://opentelemetry.io/docs/specs/otlp/#otlphttp: POST to ``/v1/logs``; the answer may say that
some records of a taken request were rejected, which must not be sent again.
"""

import logging
import socket
import time
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from davylamp.errors import ConfigError
from davylamp.outputs.http import HttpPost
from davylamp.outputs.otlp_record import export_request
from davylamp.outputs.spooled import Fate, Outcome

CONTENT_TYPE = "application/x-protobuf"
BATCH = 512
ANSWER_BYTES = 64 << 10

logger = logging.getLogger(__name__)


class Otlp:
    """Exports EVE lines; ``token`` is sent as a bearer's where there is one.

    ``rejected`` counts what the collector took and threw away, by its own account.
    """

    def __init__(self, post: HttpPost, token: str = "") -> None:
        self.rejected = 0
        self._post = post
        self._host = socket.gethostname()
        self._headers = {"Content-Type": CONTENT_TYPE}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    async def deliver(self, lines: Sequence[bytes]) -> Outcome:
        """Export these lines in one request."""
        body = export_request(lines, self._host, time.time()).SerializeToString()
        outcome = await self._post.send(body, self._headers)
        if outcome.fate is Fate.TAKEN and outcome.answer:
            self._heed(outcome.answer)
        return outcome

    def _heed(self, answer: bytes) -> None:
        try:
            partial = ExportLogsServiceResponse.FromString(answer).partial_success
        except DecodeError:
            return  # taken all the same, by its status
        if partial.rejected_log_records > 0:
            self.rejected += partial.rejected_log_records
            logger.warning("the collector rejected records: %s", partial.error_message[:200])


def checked_token(text: bytes, where: str) -> str:
    """Return a token file's token; raise ConfigError if it cannot be one."""
    token = text.strip().decode("latin-1")
    if not token or not all("!" <= char <= "~" for char in token):
        raise ConfigError(f"{where} holds no token; write one line of printable ASCII into it")
    return token
