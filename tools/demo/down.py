"""Take away what the demo made, whole or half-made."""

from tools.cluster.progress import say, step
from tools.demo import closing, clusters, install, story
from tools.demo.choice import Wish
from tools.demo.clusters import Place
from tools.demo.kubectl import Kubectl
from tools.demo.pods import LABELS


def run(wish: Wish, *, crds: bool) -> None:
    """Take the demo away.

    Raises:
        ClusterError: something cannot be removed.
    """
    place = which(wish, clusters.recall())
    if place is None:
        say("there is no demo to take away")
        return
    if place.made:
        with step("take the demo's cluster away"):
            clusters.take_down(place)
    else:
        from_own_cluster(place.kubectl(), crds=crds)
    clusters.forget()
    say("the demo is gone")


def which(wish: Wish, known: Place | None) -> Place | None:
    """Return what is to be cleaned: what an option names, else where the last demo ran, else the embedded cluster."""
    if wish.cluster in {"kind", "embedded"}:
        return Place(wish.cluster, None, None, made=True)
    if known is not None and not (wish.cluster == "own" or wish.context):
        return known
    if wish.names_a_cluster:
        return Place("own", str(wish.kubeconfig) if wish.kubeconfig else None, wish.context, made=False)
    return known or Place("embedded", None, None, made=True)


def from_own_cluster(kubectl: Kubectl, *, crds: bool) -> None:
    """Take namespaces and release out of a cluster that stays; what the demo did not make is left alone.

    Raises:
        ClusterError: something cannot be removed.
    """
    # The resources go while their operator still runs, and before their definitions.
    if owned(kubectl, closing.NAMESPACE):
        story.delete_namespace(kubectl, closing.NAMESPACE)
    if not owned(kubectl, install.SYSTEM):
        say(f"namespace {install.SYSTEM} is not the demo's, or is not there; it is left alone")
        return
    with step("uninstall the chart"):
        install.uninstall_chart(kubectl, crds=crds)
    if not crds:
        say("the CustomResourceDefinitions stay, as others may use them; `--crds` deletes them, too")


def owned(kubectl: Kubectl, name: str) -> bool:
    """Return whether the demo made a namespace.

    Raises:
        ClusterError: the cluster does not answer.
    """
    found = kubectl.get("namespace", name)
    return found is not None and LABELS.items() <= found["metadata"].get("labels", {}).items()
