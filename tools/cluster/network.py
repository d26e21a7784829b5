"""The addresses of a cluster: eight slots inside 198.18.0.0/15, the range set aside for benchmarks.

No home, office or cloud network uses that range, so a cluster neither hides nor is hidden by one.
Slot k has 198.18.k.0/24 for links (a /30 per node; the first joins the host and the control plane), a /20 of
198.19 for pods (a /24 per node) and a /19 for services.
"""

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from tools.cluster.errors import ClusterError

SLOTS = 8
MOST_NODES = 8


@dataclass(frozen=True)
class Network:
    """All addresses of the cluster in one slot."""

    slot: int

    @property
    def links(self) -> IPv4Network:
        """The links between host, control plane and nodes."""
        return IPv4Network(f"198.18.{self.slot}.0/24")

    @property
    def pods(self) -> IPv4Network:
        """Addresses of all pods."""
        return IPv4Network(f"198.19.{16 * self.slot}.0/20")

    @property
    def services(self) -> IPv4Network:
        """Cluster IPs: 8,190 of them."""
        high, low = divmod(self.slot, 4)
        return IPv4Network(f"198.{18 + high}.{128 + 32 * low}.0/19")

    def pods_of(self, node: int) -> IPv4Network:
        """Pods of one node, counted from 1."""
        return list(self.pods.subnets(new_prefix=24))[node]

    def upper_end(self, node: int) -> IPv4Address:
        """The gateway's end of a node's link: the host's for node 1, the control plane's for the others."""
        return self.links[4 * (node - 1) + 1]

    def node(self, node: int) -> IPv4Address:
        """A node's address; node 1 shares its network with the control plane."""
        return self.links[4 * (node - 1) + 2]

    @property
    def host(self) -> IPv4Address:
        """The host, as pods see it."""
        return self.upper_end(1)

    @property
    def api(self) -> IPv4Address:
        """Where the API server listens, port 6443."""
        return self.node(1)

    @property
    def dns(self) -> IPv4Address:
        """Cluster IP of the DNS service."""
        return self.services[10]

    @property
    def kubernetes(self) -> IPv4Address:
        """Cluster IP of the API server's own service."""
        return self.services[1]

    @property
    def link(self) -> str:
        """Name of the host's network link."""
        return f"perennial{self.slot}"

    @property
    def ranges(self) -> tuple[IPv4Network, ...]:
        """All that the host needs a route to."""
        return (self.links, self.pods, self.services)


def pick(used_slots: Collection[int], routes: Iterable[IPv4Network]) -> Network:
    """The first slot that no cluster has and no route of this machine crosses.

    Raises:
        ClusterError: none is left.
    """
    busy = list(routes)
    for slot in range(SLOTS):
        network = Network(slot)
        crossed = any(mine.overlaps(theirs) for mine in network.ranges for theirs in busy)
        if slot not in used_slots and not crossed:
            return network
    raise ClusterError(
        f"all {SLOTS} address ranges are taken ({len(used_slots)} by clusters of this tool)",
        where="198.18.0.0/15, see `ip route`",
        fix="take one down: `python3 -m tools.cluster status` lists them, `… down --name NAME` removes one",
    )


def parse_routes(text: str) -> list[IPv4Network]:
    """Destinations in the output of `ip -4 route show table all`; default routes are none."""
    found = []
    for line in text.splitlines():
        words = [word for word in line.split() if word not in {"local", "broadcast", "unreachable", "blackhole"}]
        if not words or words[0] == "default":
            continue
        try:
            found.append(ipaddress.IPv4Network(words[0], strict=False))
        except ValueError:
            continue
    return [route for route in found if route.prefixlen > 0]
