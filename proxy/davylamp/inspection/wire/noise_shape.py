r"""Stratum V2 under Noise: nothing to read, but a handshake and first messages of exact sizes.

Strategy: count the bytes of each flight (what one side says until the other speaks) of a stream
that begins with 64 bytes no text and no structured protocol would begin with. A flight is judged
when the other side answers, because only then is its size known; so the stage reached does not
depend on segments, and a flight that merely passes through a size is no match.

    flight  who         bytes                                           stage when it is answered
    1       initiator   64: an ElligatorSwift key (random-looking)      (KEY, while it lasts)
    2       responder   234: key 64, static key 64 + 16, signature      HANDSHAKE
                        message 74 + 16
    3       initiator   55 to 1,329: SetupConnection of 17 to 1,291     SETUP
    4       responder   44: SetupConnection.Success of 6                ACCEPTED
    5       initiator   80 to 336: Open...MiningChannel of 42 to 298    CHANNEL
    any     either      anything else                                   RULED_OUT

Every encrypted frame is a header of 6 + 16 bytes and a body of n + 16 (n up to 65,519). The last
packet before ACCEPTED is the initiator's request for a channel, so that who drops the packet that
completes the evidence drops that request.

How strong each stage is. True handshakes fail the test of randomness with a probability under
2e-6. Suppose an opaque protocol whose first flights are independent and uniform over the 1,448
bytes of a segment, and otherwise random:

    stage       chance of a false match     worth
    KEY         1 in 1,400                  nothing; a reason to go on looking
    HANDSHAKE   1 in 2.1 million            weak: one of several findings
    SETUP       1 in 2.4 million            weak
    ACCEPTED    1 in 3.4 billion            strong
    CHANNEL     1 in 19 billion             strong

Real protocols have fixed sizes, so these numbers hold only for those whose sizes vary. What is
known to begin with random-looking bytes, and why it is told apart:

- BIP 324 (Bitcoin's own v2 transport): both sides begin with the same 64-byte key, but random
  garbage of 0 to 4,095 bytes follows each; a handshake match needs 0 bytes and then exactly 134,
  1 in 16.8 million; its next flights are not 44 bytes.
- MTProto (Telegram, obfuscated): 64 random bytes, but a request of 40 bytes or more follows
  without waiting, so the flight is longer. With a fake TLS or a WebSocket it is those.
- obfs4, ScrambleSuit: the first flight has at least 149 bytes, padded at random.
- Shadowsocks: a salt of 16 or 32, an address and the client's own first bytes in one flight. With
  a fixed small request of 7 to 41 bytes the flight can be 64, and a server that answers 184 bytes
  gives 234: HANDSHAKE is reached, and ACCEPTED by another pair of exact sizes only.
- VMess: at least 99 bytes. Trojan, VLESS: inside TLS.
- WireGuard over TCP: 148 with a fixed first byte and a length in front. OpenVPN: length in front.
- Lightning (BOLT 8): 50, 50, 66. RLPx (devp2p): 307 and more. libp2p: begins in text.
- Noise_NN, XX, IK with 25519: flights of 32, 48, 80, 96 bytes.
- TLS, SSH, QUIC, compressed files: their first bytes are not random.

Measured: of 1,935 TCP flows in the test traces of nDPI, Zeek, Suricata, Arkime and Peafowl none
reached KEY; of 3,999 flows in CESNET-MINER22's sample one began with 64 bytes, and none of those
was answered by 234.

Sources: stratum-mining/sv2-spec 04-Protocol-Security.md sections 4.5.1 and 4.5.2 (the handshake;
its "170 bytes" for the second act is from before ElligatorSwift: 64 + 80 + 90 is what its fields
add up to, and what the reference implementation sends) and 4.6 (framing); BIP 324; bolt 8.
"""

from enum import IntEnum

from davylamp.flow import Direction

KEY_SIZE = 64
ANSWER_SIZE = KEY_SIZE + KEY_SIZE + 16 + 74 + 16
FRAME_OVERHEAD = 6 + 16 + 16
SUCCESS_SIZE = FRAME_OVERHEAD + 6

_SETUP_SIZES = range(FRAME_OVERHEAD + 17, FRAME_OVERHEAD + 1291 + 1)
_OPEN_SIZES = range(FRAME_OVERHEAD + 42, FRAME_OVERHEAD + 298 + 1)

_PRINTABLE = bytes(range(0x20, 0x7F))
_MOST_PRINTABLE = 44  # of the 64 bytes of a key


class NoiseStage(IntEnum):
    """How far the shape was followed; each is evidence as far as the head of this file says."""

    RULED_OUT = -1
    OPEN = 0
    KEY = 1
    HANDSHAKE = 2
    SETUP = 3
    ACCEPTED = 4
    CHANNEL = 5


_FLIGHTS = (
    (range(KEY_SIZE, KEY_SIZE + 1), NoiseStage.KEY),
    (range(ANSWER_SIZE, ANSWER_SIZE + 1), NoiseStage.HANDSHAKE),
    (_SETUP_SIZES, NoiseStage.SETUP),
    (range(SUCCESS_SIZE, SUCCESS_SIZE + 1), NoiseStage.ACCEPTED),
    (_OPEN_SIZES, NoiseStage.CHANNEL),
)


class NoiseShape:
    """Watches both directions of one flow from its first byte; holds at most 234 bytes."""

    __slots__ = ("_first", "_flight", "_size", "stage", "watching")

    def __init__(self) -> None:
        self.stage = NoiseStage.OPEN
        self.watching = True  # more bytes may change the stage
        self._flight = 0  # how many flights have ended; even ones are the initiator's
        self._size = 0  # bytes of the present flight
        self._first = bytearray()  # of the first two flights, for the test of randomness

    @property
    def held(self) -> int:
        """Bytes kept for the next call."""
        return len(self._first)

    def observe(self, direction: Direction, data: bytes) -> NoiseStage:
        """Take the next bytes of a direction, in the order in which both spoke.

        Return the stage reached; it never falls, except to RULED_OUT from below ACCEPTED.
        """
        if not data or not self.watching:
            return self.stage
        from_initiator = direction is Direction.ORIGINATOR
        if from_initiator != (self._flight % 2 == 0):
            self._end_flight()
        if self.watching:
            self._add(data)
        return self.stage

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        if self._flight < 2:
            self._first += data[: ANSWER_SIZE + 1 - len(self._first)]
        if self._flight == 0 and self._size == KEY_SIZE and _is_random(bytes(self._first)):
            self.stage = NoiseStage.KEY
        text = self._flight == 0 and _printable(self._first) > _MOST_PRINTABLE
        if text or self._size >= _FLIGHTS[self._flight][0].stop:
            self._rule_out()

    def _end_flight(self) -> None:
        sizes, stage = _FLIGHTS[self._flight]
        fits = self._size in sizes
        if self._flight < 2:
            fits = fits and _is_random(bytes(self._first))
            self._first.clear()
        if not fits:
            self._rule_out()
            return
        self.stage = stage
        self._flight += 1
        self._size = 0
        self.watching = self._flight < len(_FLIGHTS)

    def _rule_out(self) -> None:
        """Give up; a stage that is strong already stands."""
        self.watching = False
        self._first.clear()
        if self.stage < NoiseStage.ACCEPTED:
            self.stage = NoiseStage.RULED_OUT


def _is_random(data: bytes) -> bool:
    """Say whether 64 or 234 bytes look uniformly random.

    Each bound fails random bytes with a probability under 1e-6: different values (at least 45 of
    64, 120 of 234), bits set (within 60 of 256, 120 of 936) and, for the shorter, bytes of
    printable ASCII (at most `_MOST_PRINTABLE`).
    """
    long = len(data) > KEY_SIZE
    bits = int.from_bytes(data).bit_count()
    if len(set(data)) < (120 if long else 45) or abs(bits - 4 * len(data)) > (120 if long else 60):
        return False
    return long or _printable(data) <= _MOST_PRINTABLE


def _printable(data: bytes | bytearray) -> int:
    """Count the bytes that are printable ASCII."""
    return len(data) - len(data.translate(None, _PRINTABLE))
