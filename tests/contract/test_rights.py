"""The operator's rights: what its code can ask for, and nothing more; checked by a real API server."""

import ast
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perennial.core import kinds
from perennial.core.kinds import ASKED_FOR, CHILDREN, EVENT, LEASE, RESOURCES, WATCHED_BY_LABEL, Kind
from perennial.generate import rbac
from tests.contract.conftest import RELEASE_NAMESPACE, Rendered, kubectl
from tests.contract.server import ROOT, Server, dump, load
from tests.support.kube import eventually
from tests.support.operator import OperatorProcess

PACKAGE = ROOT / "operator" / "perennial"
CONTROLLERS = ("training", "serving", "drift")
ACCOUNT = f"system:serviceaccount:{RELEASE_NAMESPACE}:perennial"
_PATIENCE = 180.0
"""Seconds: a loaded machine needs longer than an idle one, and no wait lasts longer than it must."""
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
Request = tuple[str, str, str]
"""API group, resource (with its subresource) and verb."""

FOREIGN = (
    *(
        ("", name)
        for name in ("secrets", "configmaps", "serviceaccounts", "namespaces", "nodes", "pods/exec", "pods/log")
    ),
    *(("", name) for name in ("serviceaccounts/token", "services/proxy", "pods/eviction", "persistentvolumes")),
    ("apps", "daemonsets"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    *((kind.group, f"{kind.plural}/finalizers") for kind in RESOURCES),
    *((kind.group, kind.plural) for kind in RESOURCES),
)


def kinds_deleted() -> frozenset[Kind]:
    """The kinds that the controllers delete, read from their source."""
    calls = (
        node
        for controller in CONTROLLERS
        for path in (PACKAGE / controller).rglob("*.py")
        for node in calls_of(path, "Delete")
    )
    return frozenset(getattr(kinds, call.args[0].id) for call in calls if isinstance(call.args[0], ast.Name))


def calls_of(path: Path, function: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
            yield node


def needed() -> frozenset[Request]:
    """Return every request that the runtime can make through its adapter, leases aside."""
    watched = {
        (kind.group, kind.plural, verb) for kind in (*RESOURCES, *WATCHED_BY_LABEL) for verb in ("list", "watch")
    }
    looked_up = {(kind.group, kind.plural, "get") for kind in (*RESOURCES, *CHILDREN, *ASKED_FOR)}
    # Applying what is not there yet asks for `create` beside `patch`.
    applied = {(kind.group, kind.plural, verb) for kind in CHILDREN for verb in ("create", "patch")}
    deleted = {(kind.group, kind.plural, "delete") for kind in kinds_deleted()}
    status = {(kind.group, f"{kind.plural}/status", "update") for kind in RESOURCES}
    return frozenset(watched | looked_up | applied | deleted | status | {("", EVENT.plural, "create")})


def granted(rights: tuple[rbac.Right, ...]) -> frozenset[Request]:
    return frozenset((right.group, name, verb) for right in rights for name in right.resources for verb in right.verbs)


def test_the_table_grants_what_the_code_needs_and_nothing_more() -> None:
    assert kinds_deleted() == {
        kinds.JOB,
        kinds.CRON_JOB,
        kinds.DEPLOYMENT,
        kinds.AUTOSCALER,
        kinds.SCALED_OBJECT,
        kinds.NETWORK_POLICY,
        kinds.SERVICE,
        kinds.HTTP_ROUTE,
    }
    assert granted(rbac.OPERATOR) == needed()
    assert granted(rbac.LEADER_ELECTION) == {(LEASE.group, LEASE.plural, verb) for verb in ("get", "create", "update")}


def test_an_audit_log_needs_rights_in_the_own_namespace_only(chart: Callable[[Any], Rendered]) -> None:
    config_maps = {("", "configmaps", verb) for verb in ("get", "list", "create", "patch", "delete")}
    jobs = {("batch", "jobs", verb) for verb in ("list", "create", "delete")}
    assert granted(rbac.AUDIT) == {*config_maps, *jobs, ("", "pods", "list")}

    without = {(item["kind"], item["metadata"]["name"]) for item in chart({})}
    objects = chart({"config": {"audit": {"uri": "s3://audit/perennial/"}}})
    added = [item for item in objects if (item["kind"], item["metadata"]["name"]) not in without]

    assert [(item["kind"], item["metadata"]["namespace"]) for item in added] == [
        ("Role", RELEASE_NAMESPACE),
        ("RoleBinding", RELEASE_NAMESPACE),
    ]


@pytest.mark.parametrize("rights", rbac.TEMPLATES.values(), ids=rbac.TEMPLATES)
def test_no_table_grants_what_could_be_turned_into_more(rights: tuple[rbac.Right, ...]) -> None:
    for _, resource, verb in granted(rights):
        assert "*" not in resource + verb
        assert resource not in {"secrets", "pods/exec", "serviceaccounts/token"}
        assert resource != "configmaps" or rights is rbac.AUDIT
        assert verb not in {"escalate", "bind", "impersonate"}
    assert all(right.reason for right in rights)


def of_kinds(objects: Rendered, *names: str) -> Rendered:
    return [item for item in objects if item["kind"] in names]


def apply_rights(server: Server, objects: Rendered, namespaces: list[str]) -> None:
    for name in namespaces:
        server.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    wanted = of_kinds(objects, "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    kubectl(server.kubeconfig, "apply", "--server-side", "-f", "-", text=dump(wanted))


def withdraw(server: Server, objects: Rendered) -> None:
    bound = of_kinds(objects, "RoleBinding", "ClusterRoleBinding")
    kubectl(server.kubeconfig, "delete", "--ignore-not-found", "-f", "-", text=dump(bound))


def may(server: Server, user: str, namespace: str, request: Request) -> bool:
    group, resource, verb = request
    name, _, subresource = resource.partition("/")
    attributes = {"namespace": namespace, "group": group, "resource": name, "subresource": subresource, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    answer = server.must("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def asked() -> list[Request]:
    """Return every verb on everything that the operator knows, and on what it must never have."""
    own = [(kind.group, kind.plural) for kind in (*RESOURCES, *WATCHED_BY_LABEL, *ASKED_FOR, EVENT, LEASE)]
    status = [(kind.group, f"{kind.plural}/status") for kind in RESOURCES]
    return [(group, name, verb) for group, name in dict.fromkeys((*own, *status, *FOREIGN)) for verb in VERBS]


def allowed(server: Server, user: str, namespace: str, requests: list[Request]) -> frozenset[Request]:
    return frozenset(request for request in requests if may(server, user, namespace, request))


def settled(server: Server, user: str, namespace: str, requests: list[Request], wanted: frozenset[Request]) -> None:
    """Hold what is allowed to what is wanted; the API server hears of changed roles a moment after they are stored."""
    end = time.monotonic() + _PATIENCE
    while (found := allowed(server, user, namespace, requests)) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    assert found == wanted


def test_the_account_may_do_that_in_the_whole_cluster(server: Server, chart: Callable[[Any], Rendered]) -> None:
    objects = chart({})
    apply_rights(server, objects, [RELEASE_NAMESPACE])
    try:
        settled(server, ACCOUNT, "default", asked(), needed())
        settled(server, ACCOUNT, RELEASE_NAMESPACE, asked(), needed() | granted(rbac.LEADER_ELECTION))
    finally:
        withdraw(server, objects)


def test_the_account_may_do_that_in_named_namespaces_only(server: Server, chart: Callable[[Any], Rendered]) -> None:
    objects = chart({"config": {"watchNamespaces": ["team-a", "team-b"]}})
    assert of_kinds(objects, "ClusterRoleBinding") == []
    apply_rights(server, objects, [RELEASE_NAMESPACE, "team-a", "team-b"])
    try:
        settled(server, ACCOUNT, "team-a", asked(), needed())
        settled(server, ACCOUNT, "team-b", asked(), needed())
        settled(server, ACCOUNT, "default", asked(), frozenset())
        settled(server, ACCOUNT, RELEASE_NAMESPACE, asked(), granted(rbac.LEADER_ELECTION))
    finally:
        withdraw(server, objects)


@pytest.mark.parametrize("namespaces", [[], ["team-a"]], ids=["whole cluster", "one namespace"])
async def test_the_operator_gets_ready_with_these_rights(
    server: Server, chart: Callable[[Any], Rendered], tmp_path: Path, namespaces: list[str]
) -> None:
    config = {"watchNamespaces": namespaces}
    objects = chart({"config": config})
    apply_rights(server, objects, [RELEASE_NAMESPACE, *namespaces])
    operator = OperatorProcess(server.url, tmp_path, {**config, "leaderElection": {"enabled": True}})
    kubeconfig_of_account(server, tmp_path, operator)
    try:
        settled(server, ACCOUNT, (namespaces or ["default"])[0], [*needed()], needed())
        election = granted(rbac.LEADER_ELECTION)
        settled(server, ACCOUNT, RELEASE_NAMESPACE, [*election], election)
        await operator.start(seconds=_PATIENCE)
        await leads(server, operator)
        assert await operator.stop() == 0
        assert "forbidden" not in operator.log.read_text().lower()
    finally:
        await operator.kill()
        withdraw(server, objects)


def kubeconfig_of_account(server: Server, folder: Path, operator: OperatorProcess) -> None:
    """Let the operator act with the token of its account, as in a pod."""
    path = f"/api/v1/namespaces/{RELEASE_NAMESPACE}/serviceaccounts/perennial/token"
    token = server.must("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    document = load(server.kubeconfig)
    document["users"][0]["user"] = {"token": token["status"]["token"]}
    document["contexts"][0]["context"]["namespace"] = RELEASE_NAMESPACE
    operator._kubeconfig = folder / "kubeconfig-account"
    operator._kubeconfig.write_text(dump([document]))


async def leads(server: Server, operator: OperatorProcess) -> None:
    path = f"/apis/{LEASE.api_version}/namespaces/{RELEASE_NAMESPACE}/leases/perennial-operator"

    async def holder() -> bool:
        answer = server.send("GET", path)
        return answer.ok and answer.body["spec"].get("holderIdentity") == "operator"

    await eventually(holder, "the operator takes the Lease", _PATIENCE)


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        ("view", {"get", "list", "watch"}),
        ("edit", {*VERBS}),
        ("admin", {*VERBS}),
    ],
)
def test_users_get_theirs_through_the_clusters_own_roles(
    server: Server, namespace: str, chart: Callable[[Any], Rendered], role: str, verbs: set[str]
) -> None:
    objects = chart({})
    apply_rights(server, objects, [RELEASE_NAMESPACE])
    kubectl(server.kubeconfig, "create", "rolebinding", "-n", namespace, "test", f"--clusterrole={role}", "--user=ann")
    subjects = [(kind.group, name) for kind in RESOURCES for name in (kind.plural, f"{kind.plural}/status")]
    scale = ("perennial.dev", "modeldeployments/scale", "update")
    requests = [scale, *((group, name, verb) for group, name in subjects for verb in VERBS)]
    wanted = {(kind.group, kind.plural, verb) for kind in RESOURCES for verb in verbs}
    try:
        settled(server, "ann", namespace, requests, frozenset(wanted | ({scale} if role != "view" else set())))
    finally:
        withdraw(server, objects)


def test_aggregation_can_be_left_out(chart: Callable[[Any], Rendered]) -> None:
    roles = of_kinds(chart({"rbac": {"aggregate": False}}), "ClusterRole")
    assert not [role for role in roles if any("aggregate" in label for label in role["metadata"]["labels"])]
    names = {item["metadata"]["name"] for item in roles}

    assert names == {"perennial", "perennial-approve"}
