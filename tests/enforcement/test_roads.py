"""What the kernel's routes say of an address."""

import contextlib
from ipaddress import ip_address

import pytest

from davylamp.enforcement.roads import Roads


@pytest.mark.parametrize(
    ("interfaces", "address", "inside"),
    [
        (["lo"], "127.0.0.1", True),
        (["br-train", "l*"], "127.1.2.3", True),
        (["br-train"], "127.0.0.1", False),
        ([], "127.0.0.1", False),
        (["*"], "255.255.255.255", None),  # whatever the machine's routes are, nothing raises
        (["lo"], "fe80::1234", False),
    ],
)
def test_an_address_is_inside_where_its_road_is(
    interfaces: list[str], address: str, inside: bool | None
) -> None:
    """By exact names and by stars; an address without a road is not."""
    with contextlib.closing(Roads(interfaces)) as roads:
        told = [roads.lead_inside(ip_address(address).packed) for _ in range(2)]
    assert told == [told[0] if inside is None else inside] * 2
