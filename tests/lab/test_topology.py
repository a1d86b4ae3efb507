import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.errors import ConfigError
from davylamp.lab.topology import (
    DEFAULT_ZONE,
    LabSpec,
    check_record,
    gateway_batch,
    host_batch,
    hosts_file,
    nsswitch_conf,
    plan,
)


def test_hosts_are_in_order() -> None:
    """A plan names the gateway, the outside host, then sandboxes with matching addresses."""
    hosts = plan(LabSpec("x", sandboxes=2))
    assert [h.name for h in hosts] == ["gateway", "outside", "sandbox-1", "sandbox-2"]
    assert (hosts[3].ipv4, hosts[3].ipv6) == ("10.90.0.12", "fd00:90::12")


def test_the_largest_lab_has_addresses_for_all() -> None:
    """The most sandboxes allowed have distinct addresses in both families."""
    spec = LabSpec("x", sandboxes=200)
    spec.check()
    addresses = [a for host in plan(spec) for a in (host.ipv4, host.ipv6)]
    assert len(set(addresses)) == 2 * 202


@pytest.mark.parametrize(
    "spec",
    [
        LabSpec(""),
        LabSpec("Lab"),
        LabSpec("-a"),
        LabSpec("../up"),
        LabSpec("a" * 32),
        LabSpec("x", sandboxes=0),
        LabSpec("x", sandboxes=201),
        LabSpec("x", outside_addresses=("pool.example",)),
        LabSpec("x", outside_addresses=("10.90.0.77",)),
        LabSpec("x", outside_addresses=("203.0.113.1",)),
        LabSpec("x", zone={"bad name": ("203.0.113.10",)}),
        LabSpec("x", zone={"pool.example": ()}),
        LabSpec("x", zone={"pool.example": ("a.example", "203.0.113.10")}),
        LabSpec("x", zone={"pool.example": ("not a name",)}),
    ],
    ids=repr,
)
def test_what_cannot_be_built_is_refused(spec: LabSpec) -> None:
    """A spec that no lab can be built from raises ConfigError before anything is made."""
    with pytest.raises(ConfigError):
        spec.check()


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """A zone name is accepted or refused, whatever the text, without hanging or crashing."""
    try:
        check_record(text, ("203.0.113.10",))
    except ConfigError:
        return
    assert len(text) <= 253
    assert all(len(label) <= 63 for label in text.split("."))


def test_a_long_almost_name_is_refused_at_once() -> None:
    """A name that nearly matches costs no backtracking."""
    with pytest.raises(ConfigError):
        check_record("a" * 250 + "!", ("203.0.113.10",))


def test_default_zone_holds_a_real_pool_name() -> None:
    """A real pool's name leads to a lab address, never to the pool."""
    assert DEFAULT_ZONE["xmr-eu1.nanopool.org"][0].startswith("203.0.113.")


def test_cables_go_to_each_host() -> None:
    """The gateway's batch makes one cable a host, its far end in that host's namespace."""
    batch = gateway_batch({"outside": 7, "sandbox-1": 8})
    assert "link add up0 type veth peer name eth0 netns 7\n" in batch
    assert "link add sb-1 type veth peer name eth0 netns 8\n" in batch
    assert "link set sb-1 master br-train up\n" in batch


def test_an_address_elsewhere_is_carried_alone() -> None:
    """An outside address of another network is a host address, reached through the gateway."""
    spec = LabSpec("x", outside_addresses=("198.51.100.7",))
    assert "address add 198.51.100.7/32 dev eth0\n" in host_batch(plan(spec)[1], spec)


def test_an_outside_address_is_added_once() -> None:
    """Asking for an address that the outside host has anyway is no error."""
    spec = LabSpec("x", outside_addresses=("203.0.113.53", "203.0.113.53"))
    assert host_batch(plan(spec)[1], spec).count("203.0.113.53/24") == 1


def test_lookups_stay_in_the_lab() -> None:
    """Only files and DNS are asked for host names; other lines of nsswitch.conf stay."""
    real = "passwd: files systemd\nhosts: mymachines resolve [!UNAVAIL=return] files dns\n"
    assert nsswitch_conf(real) == "passwd: files systemd\nhosts: files dns\n"


def test_hosts_know_each_other() -> None:
    """The hosts file names every host of the lab."""
    text = hosts_file(plan(LabSpec("x", sandboxes=1)))
    assert "10.90.0.11 sandbox-1\n" in text
    assert "fd00:90::1 gateway\n" in text
