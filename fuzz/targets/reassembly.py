"""TCP reassembly: whatever the order and the overlaps, the bytes delivered are the bytes sent."""

from davylamp.reassembly import Stream, StreamLimits

SENT = bytes(range(256)) * 16
START = (1 << 32) - 1000
LIMITS = StreamLimits(history=1024, pending=2048, pending_segments=16)
# What fills a hole joins everything behind it, and history keeps its last piece whole.
MAX_HELD = LIMITS.history + 2 * LIMITS.pending + 256

SEEDS = (
    bytes.fromhex("0000 10 0010 10 0020 20"),
    bytes.fromhex("0020 10 0000 40 0010 ff 0100 08 00f0 30"),
    bytes.fromhex("03f0 ff 0000 ff 00ff ff 01fe ff 02fd ff 03fc ff 04fb ff"),
)


def fuzz_one(data: bytes) -> None:
    """Send slices of one stream in the order that the input says."""
    stream = Stream(LIMITS, next_seq=START % (1 << 32), anchored=True)
    got = bytearray()
    for at in range(0, len(data) - 2, 3):
        offset = int.from_bytes(data[at : at + 2], "big") % len(SENT)
        payload = SENT[offset : offset + 1 + data[at + 2]]
        delivery = stream.receive((START + offset) % (1 << 32), payload)
        assert not delivery.conflict, "a consistent retransmission was called a conflict"
        assert not delivery.rewound, "an anchored stream was begun anew"
        if delivery.data:
            assert delivery.offset == len(got), "delivered bytes do not join up"
            got += delivery.data
        assert stream.held <= MAX_HELD, "memory grows"
    assert bytes(got) == SENT[: len(got)]
