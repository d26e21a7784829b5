"""Slots: clusters never share an address, and never take one that the machine uses."""

from ipaddress import IPv4Network
from itertools import combinations

import pytest

from tools.cluster.errors import ClusterError
from tools.cluster.network import MOST_NODES, SLOTS, Network, parse_routes, pick


def test_no_two_slots_share_an_address() -> None:
    ranges = [each for slot in range(SLOTS) for each in Network(slot).ranges]
    assert not [pair for pair in combinations(ranges, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize("slot", range(SLOTS))
def test_a_slot_stays_inside_the_benchmark_range(slot: int) -> None:
    assert all(each.subnet_of(IPv4Network("198.18.0.0/15")) for each in Network(slot).ranges)


def test_every_node_has_addresses_of_its_own() -> None:
    network = Network(3)
    nodes = range(1, MOST_NODES + 1)
    addresses = [network.node(node) for node in nodes] + [network.upper_end(node) for node in nodes]
    assert len(set(addresses)) == 2 * MOST_NODES
    assert all(address in network.links for address in addresses)
    pods = [network.pods_of(node) for node in nodes]
    assert len(set(pods)) == MOST_NODES
    assert all(each.subnet_of(network.pods) for each in pods)


def test_fixed_service_addresses_are_inside_the_service_range() -> None:
    network = Network(7)
    assert network.dns in network.services
    assert network.kubernetes in network.services


def test_pick_takes_the_first_free_slot() -> None:
    assert pick({0, 1}, []).slot == 2


def test_pick_avoids_what_the_machine_routes() -> None:
    assert pick(set(), [IPv4Network("198.18.0.0/24"), Network(1).services]).slot == 2


def test_pick_says_what_to_do_when_all_are_taken() -> None:
    with pytest.raises(ClusterError) as error:
        pick(set(range(SLOTS)), [])
    assert "down --name" in error.value.fix


def test_routes_are_read_without_the_default_route() -> None:
    text = (
        "default via 192.0.2.1 dev eth0\n"
        "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2\n"
        "local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1\n"
        "broadcast 192.0.2.255 dev eth0 table local\n"
        "nonsense\n"
    )
    assert parse_routes(text) == [
        IPv4Network("192.0.2.0/24"),
        IPv4Network("127.0.0.0/8"),
        IPv4Network("192.0.2.255/32"),
    ]
