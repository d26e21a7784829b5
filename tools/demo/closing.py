"""What the demo says at its beginning and at its end."""

from tools.demo.choice import Kind
from tools.demo.clusters import Place

NAMESPACE = "perennial-demo"
MODEL = "cancer"
_WHERE = {
    "embedded": "a Kubernetes of its own, built from Go modules; nothing else on this machine is touched",
    "kind": "a kind cluster of its own, in Docker",
    "own": "your cluster",
}
_FIRST = {
    "embedded": "The first run compiles Kubernetes and builds images: about 20 minutes on two cores. Later: 8.",
    "kind": "The first run fetches kind's node image and builds images: about 15 minutes. Later: 8.",
    "own": "The first run builds images and moves 1 GB to your nodes: about 15 minutes. Later: 7.",
}


def opening(kind: Kind) -> str:
    """Return what will be done, and how long it takes."""
    return (
        "Perennial's demo: train a model, serve it, drift its inputs, and see it retrained: a bad model is refused, a "
        "good one replaces it.\n"
        f"It runs on {_WHERE[kind]}.\n"
        f"{_FIRST[kind]}\n"
    )


def closing(place: Place) -> str:
    """Return the commands to look around with, and the one that takes all away."""
    kubectl = f"{place.kubectl().words()} -n {NAMESPACE}"
    export = f"  export KUBECONFIG={place.kubeconfig}\n" if place.kubeconfig else ""
    return (
        "\nThe loop is closed: trained, served, drifted, retrained, refused, mended, replaced. Look around:\n\n"
        f"{export}"
        f"  {kubectl} get tj,md,dm                      # the three resources\n"
        f"  {kubectl} describe dm {MODEL}                # verdicts, conditions, events\n"
        f"  {kubectl} get jobs,cronjobs,deployments,hpa # their children\n"
        f"  {place.kubectl().words()} logs -n perennial-system deployment/perennial   # log of the operator\n"
        f"  {kubectl} port-forward service/{MODEL} 8081:80 &\n"
        f"  curl -s localhost:8081/v2/models/{MODEL}     # metadata of the model; /infer predicts\n"
        "\nRemove everything:\n\n"
        "  make demo-down\n"
    )
