"""Nodes that only pretend, for tests of scale: KWOK answers for them, their pods run at once and Jobs complete."""

import json

from tools.cluster.errors import ClusterError
from tools.cluster.kube import Api
from tools.cluster.plan import Plan


def ensure_nodes(api: Api, plan: Plan, number: int) -> None:
    raise ClusterError("not yet")
