"""HTTP/1 seen from outside its bodies.

A request without a body settles the flow; what follows on the same connection comes back here if it
begins like a message (docs/kernel.md, triggers).
"""

from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Place

_BODYLESS = (b"GET ", b"HEAD ")


class HttpRequests:
    __slots__ = ("_head", "_place", "_seen", "settled")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._head = b""
        self._seen = 0
        self.settled = False
        place.context.app_proto = AppProto.HTTP

    @property
    def partial(self) -> bool:
        return bool(self._head)

    @property
    def held(self) -> int:
        return len(self._head)

    def receive(self, data: bytes, offset: int) -> bytes | None:
        self._seen += len(data)
        self._head += data
        if self._head.endswith(b"\r\n\r\n") or self._seen > self._place.depth:
            self.settled = True
            self._head = b""
        return None


class HttpResponses(HttpRequests):
    pass
