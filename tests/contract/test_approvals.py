"""Neither an approval nor a status can be forged: the chart's admission policies, at work in a real API server."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, RESOURCES, TRAINING_JOB, Kind
from perennial.core.labels import APPROVAL_PREFIX, APPROVE_ANNOTATION, APPROVED_BY_ANNOTATION, CHANGED_BY_ANNOTATION
from tests.contract.conftest import Rendered, kubectl
from tests.contract.server import Answer, Server, dump
from tests.support.kube import path_of
from tests.support.waiting import until

POLICY_KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "perennial.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "churn"},
    "spec": {"model": {"trainingJob": "churn"}, "runtime": {"name": "sklearn"}},
}
FORGED: dict[str, Any] = {
    **DEPLOYMENT,
    "metadata": {
        "name": "forged",
        "annotations": {APPROVE_ANNOTATION: "churn-1", APPROVED_BY_ANNOTATION: "somebody-else"},
    },
}

SPECS: dict[Kind, dict[str, Any]] = {
    TRAINING_JOB: {"image": "train:1", "output": {"uri": "s3://models/churn/"}},
    MODEL_DEPLOYMENT: DEPLOYMENT["spec"],
    DRIFT_MONITOR: {
        "target": {"modelDeployment": "churn"},
        "schedule": "0 * * * *",
        "reference": {"from": "TrainingRun"},
    },
}


@pytest.fixture(scope="module")
def policy(server: Server, chart: Callable[[Any], Rendered]) -> Iterator[None]:
    """The chart's policies, in force.

    The API server enforces a policy some time after it has stored it, and a loaded machine needs minutes. So the
    policies are applied once for the module, and two dry runs are repeated until each policy rejects its own.
    """
    made = [item for item in chart({}) if item["kind"] in POLICY_KINDS]
    assert len(made) == 2 * len(POLICY_KINDS)
    kubectl(server.kubeconfig, "apply", "--server-side", "-f", "-", text=dump(made))
    name = server.must("POST", "/api/v1/namespaces", {"metadata": {"generateName": "contract-"}})["metadata"]["name"]
    assert server.create(DEPLOYMENT, name).ok
    until(lambda: rejected(server.create(FORGED, name, dry=True)), "the policy on approvals is in force")
    until(
        lambda: rejected(write_status(server, MODEL_DEPLOYMENT, name, "ana", dry=True)),
        "the policy on status is in force",
    )
    yield
    kubectl(server.kubeconfig, "delete", "-f", "-", text=dump(made))
    # A deleted policy is enforced for a while too, and the tests that follow share the server.
    until(lambda: server.create(FORGED, name, dry=True).ok, "the policy on approvals is gone")
    until(lambda: write_status(server, MODEL_DEPLOYMENT, name, "ana", dry=True).ok, "the policy on status is gone")


def annotate(server: Server, namespace: str, user: str, **annotations: str | None) -> Answer:
    """Set annotations as a user who may do everything, so that nothing but the policy stands in the way."""
    path = path_of(MODEL_DEPLOYMENT, namespace, "churn")
    headers = {"Impersonate_User": user, "Impersonate_Group": "system:masters"}
    patch = {"metadata": {"annotations": annotations}}
    return server.send("PATCH", path, patch, content="application/merge-patch+json", **headers)


def test_nobody_approves_under_anothers_name(server: Server, namespace: str, policy: None) -> None:
    assert server.create(DEPLOYMENT, namespace).ok
    forged = annotate(server, namespace, "ana", **{APPROVE_ANNOTATION: "churn-1", APPROVED_BY_ANNOTATION: "bo"})
    assert not forged.ok
    assert "perennial.dev/approved-by must be your own user name, ana" in forged.message
    assert not annotate(server, namespace, "ana", **{APPROVE_ANNOTATION: "churn-1"}).ok

    assert annotate(server, namespace, "ana", **{APPROVE_ANNOTATION: "churn-1", APPROVED_BY_ANNOTATION: "ana"}).ok

    # Others go on working with a resource that ana has approved, but cannot give her approval to another revision.
    assert annotate(server, namespace, "bo", **{"example.com/note": "seen"}).ok
    assert not annotate(server, namespace, "bo", **{APPROVE_ANNOTATION: "churn-2"}).ok
    assert not annotate(server, namespace, "bo", **{APPROVED_BY_ANNOTATION: "cy"}).ok
    assert annotate(server, namespace, "bo", **{APPROVE_ANNOTATION: None, APPROVED_BY_ANNOTATION: None}).ok


@pytest.fixture
def roles(server: Server, namespace: str, chart: Callable[[Any], Rendered]) -> None:
    """Three people, each with one of the chart's roles in the test's namespace."""
    made = [item for item in chart({}) if item["kind"] == "ClusterRole"]
    kubectl(server.kubeconfig, "apply", "--server-side", "-f", "-", text=dump(made))
    for user, role in (("vic", "view"), ("ed", "edit"), ("apa", "approve")):
        binding = ("rolebinding", "-n", namespace, user, f"--clusterrole=perennial-{role}", f"--user={user}")
        kubectl(server.kubeconfig, "create", *binding)


def patch_as(server: Server, namespace: str, user: str, body: dict[str, Any]) -> Answer:
    path = path_of(MODEL_DEPLOYMENT, namespace, "churn")
    return server.send("PATCH", path, body, content="application/merge-patch+json", Impersonate_User=user)


def approval_of(user: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {APPROVE_ANNOTATION: "churn-1", APPROVED_BY_ANNOTATION: user}}}


def test_each_person_does_what_the_role_says(server: Server, namespace: str, policy: None, roles: None) -> None:
    assert server.create(DEPLOYMENT, namespace).ok
    spec = {"spec": {"replicas": {"min": 2}}}
    paused = {"metadata": {"annotations": {"perennial.dev/pause": "true"}}}
    until(lambda: patch_as(server, namespace, "ed", spec).ok, "the roles are in force")
    until(lambda: patch_as(server, namespace, "apa", paused).ok, "the approver's role is in force")

    assert not patch_as(server, namespace, "vic", paused).ok

    refused = patch_as(server, namespace, "ed", approval_of("ed"))
    assert not refused.ok
    assert "ed may not approve rollouts here: the cluster role perennial-approve grants it" in refused.message

    changed = patch_as(server, namespace, "apa", {"spec": {"replicas": {"min": 3}}})
    assert not changed.ok
    assert "apa may approve rollouts here, but not change the spec" in changed.message
    both = {**approval_of("apa"), "spec": {"model": {"trainingJob": "other"}}}
    assert not patch_as(server, namespace, "apa", both).ok
    assert patch_as(server, namespace, "apa", approval_of("apa")).ok


def rejected(answer: Answer) -> Answer | None:
    """The answer, if a policy has rejected the request."""
    return answer if "ValidatingAdmissionPolicy" in answer.message else None


def test_a_resource_is_not_created_with_anothers_approval(server: Server, namespace: str, policy: None) -> None:
    assert rejected(server.create(FORGED, namespace, dry=True))
    assert server.create(DEPLOYMENT, namespace, dry=True).ok


STATUS = {"status": {"phase": "Forged"}}
OPERATOR = "system:serviceaccount:perennial-system:perennial"


def write_status(server: Server, kind: Kind, namespace: str, user: str, *, dry: bool = False) -> Answer:
    headers = {"Impersonate_User": user, "Impersonate_Group": "system:masters"}
    path = path_of(kind, namespace, "churn", "status") + ("?dryRun=All" if dry else "")
    return server.send("PATCH", path, STATUS, content="application/merge-patch+json", **headers)


@pytest.mark.parametrize("kind", RESOURCES, ids=lambda kind: kind.kind)
def test_only_the_operator_writes_status(server: Server, namespace: str, policy: None, kind: Kind) -> None:
    spec = SPECS[kind]
    manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "churn"}, "spec": spec}
    assert server.create(manifest, namespace).ok
    forged = write_status(server, kind, namespace, "ana")
    assert not forged.ok
    assert "only the operator writes the status of this resource; ana may change" in forged.message
    for other in (f"system:serviceaccount:{namespace}:perennial", "system:serviceaccount:perennial-system:default"):
        assert not write_status(server, kind, namespace, other).ok
    assert write_status(server, kind, namespace, OPERATOR).ok


def test_an_installation_for_some_namespaces_holds_the_status_there_only(chart: Callable[[Any], Rendered]) -> None:
    made = chart({"config": {"watchNamespaces": ["team-a", "team-b"]}})
    (policy,) = [
        item for item in made if item["kind"] == POLICY_KINDS[0] and item["metadata"]["name"].endswith("-status")
    ]
    (rule,) = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert (rule["operator"], rule["values"]) == ("In", ["team-a", "team-b"])


def test_the_policy_can_be_left_out(chart: Callable[[Any], Rendered]) -> None:
    made = chart({"approvals": {"holdToUser": False}})
    assert not [item for item in made if item["kind"] in POLICY_KINDS]


def test_each_of_several_approvers_writes_an_entry_of_their_own(server: Server, namespace: str, policy: None) -> None:
    assert server.create(DEPLOYMENT, namespace).ok
    one, two = f"{APPROVAL_PREFIX}a", f"{APPROVAL_PREFIX}b"
    for wrong in ("churn-1 bo", "churn-1", "churn-1 x ana", "ana"):
        forged = annotate(server, namespace, "ana", **{one: wrong})
        assert not forged.ok, wrong
        assert '"<revision> ana"' in forged.message
    assert annotate(server, namespace, "ana", **{one: "churn-1/0123 ana"}).ok
    assert annotate(server, namespace, "bo s", **{two: "churn-1 bo s"}).ok

    taken = annotate(server, namespace, "bo s", **{one: "churn-2 bo s"})
    assert not taken.ok
    assert "is the approval of another user" in taken.message
    assert not annotate(server, namespace, "bo s", **{one: "churn-2/0123 ana"}).ok
    assert annotate(server, namespace, "ana", **{one: "churn-2 ana", "example.com/note": "seen"}).ok
    assert annotate(server, namespace, "cy", **{one: None}).ok, "who may update the resource withdraws"


def test_an_approver_withdraws_only_the_own_approval(server: Server, namespace: str, policy: None, roles: None) -> None:
    assert server.create(DEPLOYMENT, namespace).ok
    paused = {"metadata": {"annotations": {"perennial.dev/pause": "true"}}}
    until(lambda: patch_as(server, namespace, "apa", paused).ok, "the approver's role is in force")
    until(lambda: patch_as(server, namespace, "ed", paused).ok, "the editor's role is in force")
    refused = patch_as(server, namespace, "ed", {"metadata": {"annotations": {f"{APPROVAL_PREFIX}e": "churn-1 ed"}}})
    assert "ed may not approve rollouts here" in refused.message
    assert annotate(server, namespace, "ana", **{f"{APPROVAL_PREFIX}ana": "churn-1 ana"}).ok

    def take(name: str) -> Answer:
        return patch_as(server, namespace, "apa", {"metadata": {"annotations": {f"{APPROVAL_PREFIX}{name}": None}}})

    assert "only the user who has given an approval" in take("ana").message
    mine = {"metadata": {"annotations": {f"{APPROVAL_PREFIX}apa": "churn-1 apa"}}}
    assert patch_as(server, namespace, "apa", mine).ok
    assert take("apa").ok


@pytest.fixture
def authors(server: Server, chart: Callable[[Any], Rendered], policy: None) -> Iterator[None]:
    """The policies that record who changes a spec, in force."""
    kinds = (*POLICY_KINDS, "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
    made = [item for item in chart({"approvals": {"recordAuthor": True}}) if item["kind"] in kinds]
    kubectl(server.kubeconfig, "apply", "--server-side", "-f", "-", text=dump(made))
    name = server.must("POST", "/api/v1/namespaces", {"metadata": {"generateName": "contract-"}})["metadata"]["name"]

    def recorded() -> bool:
        answer = server.create(DEPLOYMENT, name, dry=True)
        return answer.ok and CHANGED_BY_ANNOTATION in answer.body["metadata"].get("annotations", {})

    until(recorded, "authors are recorded")
    assert server.create({**DEPLOYMENT, "metadata": {"name": "f"}}, name).ok
    tries = count()

    def forged() -> Answer:
        patch = {"metadata": {"annotations": {CHANGED_BY_ANNOTATION: f"{next(tries)} bo"}}}
        return server.merge(MODEL_DEPLOYMENT, name, "f", patch)

    until(lambda: rejected(forged()), "the record of authors is protected")
    yield
    others = [item for item in made if item["kind"].startswith("Mutating")]
    kubectl(server.kubeconfig, "delete", "-f", "-", text=dump(others))
    until(lambda: not recorded(), "authors are not recorded any more")
    plain = [item for item in chart({}) if item["kind"] in POLICY_KINDS]
    kubectl(server.kubeconfig, "apply", "--server-side", "-f", "-", text=dump(plain))
    until(lambda: forged().ok, "the record of authors is free again")


def test_it_is_recorded_who_changes_the_spec_and_nobody_can_edit_that(
    server: Server, namespace: str, authors: None
) -> None:
    assert server.create(DEPLOYMENT, namespace).ok

    def change(user: str, **patch: Any) -> Answer:
        path = path_of(MODEL_DEPLOYMENT, namespace, "churn")
        headers = {"Impersonate_User": user, "Impersonate_Group": "system:masters"}
        return server.send("PATCH", path, patch, content="application/merge-patch+json", **headers)

    def recorded() -> list[str]:
        found = server.must("GET", path_of(MODEL_DEPLOYMENT, namespace, "churn"))
        lines: list[str] = found["metadata"]["annotations"][CHANGED_BY_ANNOTATION].split("\n")
        return lines[1:]  # without the administrator, who has created it

    assert change("ana", spec={"replicas": {"min": 2}}).ok
    assert change("bo s", spec={"replicas": {"min": 3}}).ok
    assert recorded() == ["2 ana", "3 bo s"]
    assert change("ana", spec={"replicas": {"min": 4}}).ok
    assert change("cy", metadata={"annotations": {"example.com/note": "seen"}}).ok
    assert recorded() == ["3 bo s", "4 ana"]
    generation = server.must("GET", path_of(MODEL_DEPLOYMENT, namespace, "churn"))["metadata"]["generation"]
    assert generation == 4

    refused = change("ana", metadata={"annotations": {CHANGED_BY_ANNOTATION: "3 bo s"}})
    assert "perennial.dev/changed-by is written by the API server" in refused.message
    assert not change("ana", metadata={"annotations": {CHANGED_BY_ANNOTATION: None}}).ok
    both = change("ana", metadata={"annotations": {CHANGED_BY_ANNOTATION: None}}, spec={"replicas": {"min": 5}})
    assert both.ok
    assert recorded() == ["3 bo s", "5 ana"]
