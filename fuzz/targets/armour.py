"""Base64 and exclusive or: the same decoded stream in any split, next to nothing held."""

import base64

from fuzz.pieces import same

from davylamp.inspection.wire.armour import LOOK, Unarmourer

LINE = b'{"id":1,"method":"mining.subscribe","params":["x/1",null]}\n'

SEEDS = (
    base64.b64encode(LINE) + b"\n" + base64.b64encode(LINE) + b"\r\n",
    base64.encodebytes(LINE * 3),
    base64.urlsafe_b64encode(LINE).rstrip(b"=") + b"\n",
    base64.b64encode(LINE + b"{}") * 2,
    bytes(byte ^ 0x5A for byte in LINE * 2),
    b"[" + LINE,
)


def fuzz_one(data: bytes) -> None:
    """Unwrap the input."""

    def read(chunks: list[bytes]) -> object:
        reader = Unarmourer()
        plain, end = b"", 0
        for chunk in chunks:
            piece = reader.feed(chunk)
            if piece is not None:
                assert end <= piece.offset <= piece.end <= len(data)
                plain, end = plain + piece.data, piece.end
            assert reader.held <= LOOK
        return plain, reader.kind, reader.key, reader.done

    same(data, read)
