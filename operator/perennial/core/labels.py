"""Every label and annotation key that the operator reads or writes, once."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
COMPONENT_LABEL = "app.kubernetes.io/component"

KIND_LABEL = "perennial.dev/kind"
"""With `NAME_LABEL` on every child and its pods: kind and name of the owner. Watches select by it."""
NAME_LABEL = "perennial.dev/name"

RUN_LABEL = "perennial.dev/run"
"""On a training Job and its pods: number of the run."""
ATTEMPT_LABEL = "perennial.dev/attempt"
REVISION_LABEL = "perennial.dev/revision"
"""On everything that belongs to one revision of a ModelDeployment: hash of the revision."""

APPLIED_ANNOTATION = "perennial.dev/applied"
"""On every applied child: hash of the manifest, so that a field which is no longer wanted causes an apply."""
PLAN_ANNOTATION = "perennial.dev/plan"
"""On a training Job: the plan of its run, so that a status which was emptied by hand can be rebuilt."""
POLLED_INPUTS_ANNOTATION = "perennial.dev/polled-inputs"
"""On a polling pod: hash of the inputs that it lists. An answer about other inputs is ignored."""

MODEL_URI_ANNOTATION = "perennial.dev/model-uri"
"""On the Deployment of a revision: the model that it serves. Digest and run are also on comparison pods."""
MODEL_DIGEST_ANNOTATION = "perennial.dev/model-digest"
MODEL_RUN_ANNOTATION = "perennial.dev/model-run"
CHAIN_ANNOTATION = "perennial.dev/chain"
PORT_ANNOTATION = "perennial.dev/port"
"""On the Deployment of a revision: port that takes requests, for when the spec no longer describes the revision."""
SCHEME_ANNOTATION = "perennial.dev/scheme"
"""On the Deployment of a revision whose server terminates TLS: `https`."""
ROLLOUT_ANNOTATION = "perennial.dev/rollout"
"""On the Service and the PodDisruptionBudget: which revision was promoted, and what a rollback or a retry needs.
Decisions read this record and not `status`, which anyone with rights on the resource's status could edit."""
AGENT_IMAGE_ANNOTATION = "perennial.dev/agent-image"
"""On the Deployment of a revision: an upgrade of the operator does not restart it with another agent."""

# Set by users.

RUN_NOW_ANNOTATION = "perennial.dev/run-now"
"""On a TrainingJob: another value starts a run."""
APPROVE_ANNOTATION = "perennial.dev/approve"
"""On a ModelDeployment: name of the candidate that may be promoted."""
APPROVED_BY_ANNOTATION = "perennial.dev/approved-by"
"""On a ModelDeployment: who approves. The chart's admission policy requires the name of the requesting user."""
PAUSE_ANNOTATION = "perennial.dev/pause"
"""On a ModelDeployment: while "true", no candidate is promoted."""
RETRY_ANNOTATION = "perennial.dev/retry"
"""On a ModelDeployment: name of a failed revision to roll out again. Append `/` and any text to repeat it."""
ABORT_ANNOTATION = "perennial.dev/abort"
"""On a ModelDeployment: name of a revision to abort. A candidate fails; the stable revision is rolled back."""

# Of Kubernetes and Kueue.

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
JOB_INDEX_KEY = "batch.kubernetes.io/job-completion-index"
"""Label and annotation on the pods of an Indexed Job."""
DEFAULT_CONTAINER_ANNOTATION = "kubectl.kubernetes.io/default-container"
LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
