"""What all pods share."""

from perennial.api.common.base import ObjectMeta
from perennial.api.common.pod import LocalRef, PodOptions, ResourceRequirements, Storage, Toleration
from perennial.api.contract.commands import FetchModel
from perennial.api.contract.settings import AgentConfigDefaults
from perennial.core.kinds import TRAINING_JOB
from perennial.core.podspec import agent_container, owner_reference, pod_options, resources_of, storage_volumes

STORAGE = Storage(endpoint="https://s3.example:9000", secret_name="s3", ca_config_map="ca")


def test_credentials_are_referred_to_and_never_copied() -> None:
    config = FetchModel(storage=STORAGE, uri="s3://models/a/", digest="sha256:" + "0" * 64)
    container = agent_container(
        "fetch", "fetch", config, storage=STORAGE, agent=AgentConfigDefaults(image="agent:1"), mounts=[]
    )

    by_name = {variable["name"]: variable for variable in container["env"]}
    assert by_name["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"] == {
        "name": "s3",
        "key": "AWS_SECRET_ACCESS_KEY",
    }
    assert by_name["AWS_SESSION_TOKEN"]["valueFrom"]["secretKeyRef"]["optional"] is True
    assert FetchModel.model_validate_json(by_name["PERENNIAL_CONFIG"]["value"]) == config
    assert by_name["AWS_CA_BUNDLE"]["value"] == "/perennial-ca/ca.crt"
    assert storage_volumes(STORAGE) == [{"name": "storage-ca", "configMap": {"name": "ca"}}]


def test_the_agent_runs_with_nothing_it_does_not_need() -> None:
    context = agent_container("fetch", "fetch", Storage(), storage=None, agent=AgentConfigDefaults(), mounts=[])[
        "securityContext"
    ]

    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_options_keep_the_words_of_the_user() -> None:
    options = PodOptions(
        resources=ResourceRequirements(limits={"cpu": "1500m"}),
        node_selector={"pool": "gpu"},
        tolerations=(Toleration(key="gpu", operator="Exists"),),
        image_pull_secrets=(LocalRef(name="registry"),),
    )

    assert pod_options(options) == {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
    }
    assert resources_of(options) == {"resources": {"limits": {"cpu": "1500m"}}}
    assert resources_of(PodOptions()) == {}


def test_the_owner_reference_controls_without_blocking() -> None:
    reference = owner_reference(TRAINING_JOB, ObjectMeta(name="churn", uid="u1", labels={}, annotations={}))

    assert reference["controller"] is True
    assert reference["blockOwnerDeletion"] is False
    assert (reference["apiVersion"], reference["uid"]) == ("perennial.dev/v1alpha1", "u1")
