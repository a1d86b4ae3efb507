"""Events to a webhook: signed, in order, each until it is taken.

The body is ``{"deliveries": [{"id": ..., "event": ...}]}``, also for one. ``id`` is the event's own
(``identity``) and the same on every attempt: a receiver that passes over an id that it has had
gets each event once. A batch is not a unit: after a restart an event may be in another one.
"""

import time
from collections.abc import Sequence

import msgspec

from davylamp.errors import ConfigError
from davylamp.events import Struct, decode
from davylamp.outputs.http import HttpPost
from davylamp.outputs.identity import line_id
from davylamp.outputs.renderings.render import Render
from davylamp.outputs.signing import SIGNATURE, TIMESTAMP, sign
from davylamp.outputs.spooled import Outcome

IDEMPOTENCY = "Idempotency-Key"
SECRET_BYTES = 16

_encoder = msgspec.json.Encoder()


class Delivery(Struct, frozen=True, kw_only=True):
    """One event as it is delivered."""

    id: str
    event: msgspec.Raw


class Body(Struct, frozen=True, kw_only=True):
    """What is posted."""

    deliveries: tuple[Delivery, ...]


class Webhook:
    """Posts EVE lines in the configured rendering, signed with ``secret``."""

    def __init__(self, post: HttpPost, secret: bytes, render: Render) -> None:
        self._post = post
        self._secret = secret
        self._render = render

    async def deliver(self, lines: Sequence[bytes]) -> Outcome:
        """Post the events of these lines; the signature's time is that of the attempt."""
        deliveries = tuple(
            Delivery(id=line_id(line), event=msgspec.Raw(self._render(decode(line))))
            for line in lines
        )
        body = _encoder.encode(Body(deliveries=deliveries))
        now = int(time.time())
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: str(now),
            SIGNATURE: sign(self._secret, now, body),
        }
        if len(deliveries) == 1:
            headers[IDEMPOTENCY] = deliveries[0].id
        return await self._post.send(body, headers)


def checked_secret(text: bytes, where: str) -> bytes:
    """Return a secret file's secret; raise ConfigError if it is too short to be one."""
    secret = text.strip()
    if len(secret) < SECRET_BYTES:
        raise ConfigError(
            f"{where} holds {len(secret)} bytes; a webhook's secret has {SECRET_BYTES} at least: "
            f"openssl rand -hex 32 > {where}"
        )
    return secret
