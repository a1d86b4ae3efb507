"""ECH keys are gone from answers, and all else is where it was."""

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.packets import ip_packet
from tests.streams import dns_name, over_tcp

from davylamp.inspection.wire.dns import DnsMessage, RecordType, ServiceBinding, parse_message
from davylamp.inspection.wire.dns_ech import WithoutEch, without_ech
from davylamp.rewriting import with_payload


def parameter(key: int, value: bytes) -> bytes:
    """Return one SvcParam (RFC 9460 section 2.2)."""
    return key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


ALPN = parameter(1, b"\2h2\2h3")
HINT4, HINT6 = parameter(4, bytes((192, 0, 2, 7))), parameter(6, bytes(15) + b"\7")
ECH = parameter(5, b"\x00\x45\xfe\x0d" + bytes(67))
ONE_KEY = parameter(5, b"\x00\x45\xfe\x0d\x00\x41" + bytes(65))


def message(*parameters: bytes, target: bytes = b"\0", kind: int = RecordType.HTTPS) -> bytes:
    """Return an answer with one such record, and behind it an A record that points before it."""
    body = b"\0\1" + target + b"".join(parameters)
    record = b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\x3c"
    return (
        b"\0\7\x81\x80\0\1\0\2\0\0\0\0"
        + dns_name("pypi.org")
        + b"\0\x41\0\1"
        + record
        + len(body).to_bytes(2, "big")
        + body
        + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7"
    )


def parsed(data: bytes) -> DnsMessage:
    """Read it with the reader that everybody else uses."""
    found = parse_message(data)
    assert isinstance(found, DnsMessage)
    assert not found.truncated
    return found


@pytest.mark.parametrize("kind", [RecordType.SVCB, RecordType.HTTPS])
@pytest.mark.parametrize(
    "parameters",
    [(ECH,), (ALPN, ECH), (ALPN, HINT4, ECH, HINT6), (ECH, HINT6)],
    ids=["alone", "last", "amid", "first"],
)
def test_the_key_is_gone_and_the_rest_stays(parameters: tuple[bytes, ...], kind: int) -> None:
    """Length, hints, protocols and the other records are as before."""
    before = message(*parameters, target=dns_name("svc.pypi.org"), kind=kind)
    after = without_ech(before)
    assert after is not None
    assert len(after) == len(before)
    old, new = parsed(before).answers, parsed(after).answers
    assert isinstance(old[0].value, ServiceBinding)
    assert isinstance(new[0].value, ServiceBinding)
    assert (old[0].value.ech, new[0].value.ech) == (True, False)
    assert new[0].value.alpn == old[0].value.alpn
    assert new[0].value.addresses == old[0].value.addresses
    assert new[0].value.target == "svc.pypi.org"
    assert new[1:] == old[1:]


def test_keys_still_ascend() -> None:
    """A client that holds an answer to its order (RFC 9460 section 2.2) takes it."""
    after = without_ech(message(ALPN, ECH, HINT6))
    assert after is not None
    at = after.index(ALPN)
    keys: list[int] = []
    while len(keys) < 3:
        keys.append(int.from_bytes(after[at : at + 2], "big"))
        at += 4 + int.from_bytes(after[at + 2 : at + 4], "big")
    assert keys == [1, 6, 65280]


@pytest.mark.parametrize("parameters", [(), (ALPN,), (ALPN, HINT4, HINT6)])
def test_what_has_no_key_is_left_alone(parameters: tuple[bytes, ...]) -> None:
    """Nothing is written where nothing is to be taken out."""
    assert without_ech(message(*parameters)) is None


def test_a_cut_message_is_changed_as_far_as_it_goes() -> None:
    """What cannot be read to its end has lost the keys that could be read."""
    whole = message(ALPN, ECH)
    assert without_ech(whole[:-3]) == without_ech(whole)[:-3]  # type: ignore[index]
    assert without_ech(whole[:50]) is None
    assert without_ech(whole[:60]) == whole[:60].replace(b"\xfe\x0d", b"\xfe\xff")


def test_every_message_of_a_segment_loses_its_keys() -> None:
    """However many; the last may end in another. One that begins amid a message is left alone."""
    plain, keyed = message(ALPN), message(ALPN, ECH)
    segment = over_tcp(plain) + over_tcp(keyed) * 100 + over_tcp(keyed)[:-3]
    bare = without_ech(keyed)
    assert bare is not None
    stream = WithoutEch()
    after = stream.change(segment)
    assert after == over_tcp(plain) + over_tcp(bare) * 100 + over_tcp(bare)[:-3]
    assert stream.change(keyed[-3:] + over_tcp(keyed)) == keyed[-3:] + over_tcp(bare)
    for untouched in (over_tcp(plain), over_tcp(keyed)[40:]):
        assert WithoutEch().change(untouched) == untouched


def test_a_record_that_makes_no_sense_hides_no_other() -> None:
    """Its own keys are spoiled as far as it can be read, and those behind it are taken out."""
    keyed = message(ALPN, ECH)
    odd = b"\0\0\x41" + bytes(8) + b"\0\1\0" + ONE_KEY + b"\0\6\xff\xff\0\0"
    odd = odd[:9] + (len(odd) - 11).to_bytes(2, "big") + odd[11:]
    both = keyed[:7] + b"\3" + keyed[8:26] + odd + keyed[26:]
    after = without_ech(both)
    assert after is not None
    assert [one.type for one in parsed(after).answers] == [65, 65, 1]
    assert after[26:].startswith(odd.replace(b"\xfe\x0d", b"\xfe\xff"))
    assert after[26 + len(odd) :] == (without_ech(keyed) or b"")[26:]


@given(st.lists(st.integers(1, 60), min_size=1))
def test_a_record_is_changed_in_full_where_it_is_whole(sizes: list[int]) -> None:
    """Where its parameters come in one segment its keys are moved; else they are spoiled."""
    keyed = over_tcp(message(ALPN, ONE_KEY, HINT6))
    begin = keyed.index(ALPN)
    end = keyed.index(HINT6) + len(HINT6)
    stream, after, cuts = WithoutEch(), b"", [0]
    while cuts[-1] < len(keyed):
        cuts.append(cuts[-1] + sizes[len(cuts) % len(sizes)])
        after += stream.change(keyed[cuts[-2] : cuts[-1]])
    whole = not any(begin < cut < end for cut in cuts)
    moved = over_tcp(without_ech(keyed[2:]) or b"")
    assert after == (moved if whole else keyed.replace(b"\xfe\x0d", b"\xfe\xff"))


@given(st.binary(max_size=300))
def test_nothing_raises(data: bytes) -> None:
    """Any bytes give bytes as long, or nothing."""
    for one in (data, message(ALPN, ECH, HINT6)[: len(data)] + data):
        for begun in (b"", over_tcp(one)[:50]):
            stream = WithoutEch()
            stream.change(begun)
            assert len(stream.change(one)) == len(one)
        after = without_ech(one)
        assert after is None or len(after) == len(one)


@pytest.mark.parametrize("ends", [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
@pytest.mark.parametrize("size", [1, 100, 101])
def test_a_replaced_packet_has_the_right_checksum(ends: tuple[str, str], size: int) -> None:
    """The receiver's kernel takes it."""
    segment = bytes.fromhex("0035abcd") + (8 + size).to_bytes(2, "big") + b"\x12\x34" + bytes(size)
    before = ip_packet(*ends, 17, segment)
    payload = bytes(range(size))
    after = with_payload(before, payload)
    assert after is not None
    assert len(after) == len(before)
    assert after[-size:] == payload
    checked = dpkt.ip.IP(after) if before[0] >> 4 == 4 else dpkt.ip6.IP6(after)
    sent = checked.data.sum
    checked.data.sum = 0
    if isinstance(checked, dpkt.ip.IP):
        checked = dpkt.ip.IP(bytes(checked))
        assert checked.udp.sum == sent
    else:
        pseudo = before[8:40] + len(segment).to_bytes(4, "big") + b"\0\0\0\x11"
        assert dpkt.in_cksum(pseudo + bytes(checked.data)) == sent


def test_a_packet_whose_lengths_disagree_is_left_alone() -> None:
    """What is cut or padded is not written anew."""
    packet = ip_packet("10.0.0.1", "10.0.0.2", 17, bytes(40))
    assert with_payload(packet[:-1], bytes(10)) is None
    assert with_payload(packet, bytes(33)) is None
    assert with_payload(ip_packet("10.0.0.1", "10.0.0.2", 1, bytes(40)), bytes(10)) is None
