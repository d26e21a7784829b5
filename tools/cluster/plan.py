"""Everything that is decided about a cluster before it starts: one frozen value, kept as cluster.json."""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import paths
from tools.cluster.errors import ClusterError
from tools.cluster.network import MOST_NODES, Network

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
# Inside the cluster's own mount namespace its state folder and the built programs have these fixed, short names.
INSIDE = "/run/perennial"
INSIDE_BIN = "/run/perennial-bin"
PROGRAMS = "/run/perennial-path"


@dataclass(frozen=True)
class Plan:
    """What was asked for, and what this machine made of it."""

    name: str
    slot: int
    nodes: int
    kubernetes: str
    cni_dir: str
    can_lower_oom_score: bool
    overlay: bool

    @property
    def network(self) -> Network:
        """The addresses that go with the slot."""
        return Network(self.slot)

    @property
    def control_plane_only(self) -> bool:
        """No kubelet at all."""
        return self.nodes == 0

    @property
    def state(self) -> Path:
        """The state folder, as the host sees it."""
        return paths.state_dir(self.name)

    def cgroup(self, node: int) -> str:
        """Root of everything that node's kubelet puts into cgroups."""
        return f"/perennial/{self.name}/node{node}"

    def save(self) -> None:
        """Writes cluster.json."""
        (self.state / "cluster.json").write_text(json.dumps(dataclasses.asdict(self), indent=1))


def load(state: Path) -> Plan | None:
    """The plan in a state folder; None when there is none or it is not readable as one."""
    try:
        fields = json.loads((state / "cluster.json").read_text())
        return Plan(**fields)
    except (OSError, ValueError, TypeError):
        return None


def check_request(name: str, nodes: int) -> None:
    """Refuses what cannot be.

    Raises:
        ClusterError: a bad name or number.
    """
    if not NAME.fullmatch(name):
        raise ClusterError(f"{name!r} is not a cluster name", fix="use up to 32 lower-case letters, digits and dashes")
    if not 0 <= nodes <= MOST_NODES:
        raise ClusterError(
            f"{nodes} nodes are not possible",
            fix=f"use 0 to {MOST_NODES}; for more, add nodes without a kubelet: --kwok-nodes",
        )
