"""Meaning and next step of every reason; source of docs/reference/reasons.md."""

from perennial.core import failures
from perennial.core.reasons import ReasonDoc

_IN_PROGRESS = "Ready, Reconciling, Training"
_FAILED = "Ready, Stalled, Failed, RetrainFailed"
_EVENT = "Event"

_NOTHING = "Nothing."
_AUTOMATIC = "Nothing: the run continues without help."
_RETRIED = "Nothing: the attempt is retried and does not count against spec.retry.limit."

_OWN = (
    ReasonDoc(
        "RunSucceeded", "Ready, Complete", "A run of the present spec succeeded; its model is the artifact.", _NOTHING
    ),
    ReasonDoc("Pending", _IN_PROGRESS, "A run is about to start.", _AUTOMATIC),
    ReasonDoc("Starting", _IN_PROGRESS, "The run's Job is created and its pod is starting.", _AUTOMATIC),
    ReasonDoc(
        "Retrying", _IN_PROGRESS, "An attempt failed or was disrupted; the next one follows.", "See the message."
    ),
    ReasonDoc(
        "Queued",
        _IN_PROGRESS,
        "The run waits in spec.queue until Kueue admits it.",
        "kubectl describe workloads shows what it waits for. If there is no workload, check that Kueue is installed "
        "and that the LocalQueue exists.",
    ),
    ReasonDoc("Fetching", _IN_PROGRESS, "Pulling the inputs has taken more than a minute.", _AUTOMATIC),
    ReasonDoc("Preparing", _IN_PROGRESS, "A step of spec.prepare has run for more than a minute.", _AUTOMATIC),
    ReasonDoc("Running", _IN_PROGRESS, "The training code is running.", _AUTOMATIC),
    ReasonDoc("Publishing", _IN_PROGRESS, "Publishing the output has taken more than a minute.", _AUTOMATIC),
    ReasonDoc(
        "OutputUnreadable",
        f"OutputUnreadable, {_EVENT}",
        "The running code has written files to /perennial/output that the agent cannot read. If the run ended now, its "
        "output could not be published.",
        "Let the code write the files readable for its group (umask 0027) or everyone, or run `chmod -R a+rX` at its "
        "end; the run need not be stopped.",
    ),
    ReasonDoc(
        "CheckpointNotKept",
        f"CheckpointNotKept, {_EVENT}",
        "The running code has written a checkpoint that is not in the storage: its files keep changing, cannot be "
        "read, or cannot be uploaded. If the attempt ended now, the next one would go on from an older one.",
        "See the message. Let the code write each file under a name that begins with a dot, and rename it when it is "
        "complete; check that the credentials may write below spec.checkpoint.uri.",
    ),
    ReasonDoc(
        "InjectedContainerRuns",
        _IN_PROGRESS,
        "The code has ended with exit code 0, but a container that was injected into the pod, such as a mesh's proxy, "
        "still runs. The kubelet stops the publisher only after it.",
        "Exclude the pods by spec.podAnnotations or spec.podLabels, or let the mesh inject native sidecars.",
    ),
    ReasonDoc(
        "SlowStart",
        _IN_PROGRESS,
        "The pod has not started for two minutes, and its status does not say why.",
        "kubectl describe pod shows what it waits for: often a missing volume or ConfigMap.",
    ),
    ReasonDoc(
        "PodNotCreated",
        _IN_PROGRESS,
        "The run's Job has had no pod for 30 s: a quota, a LimitRange, Pod Security or a missing ServiceAccount "
        "rejects it.",
        "kubectl describe job shows what rejects it; the run continues once that is fixed.",
    ),
    ReasonDoc(
        "Unschedulable",
        _IN_PROGRESS,
        "No node can run the pod.",
        "Free or add nodes, lower the requests in spec.resources, or correct nodeSelector and tolerations.",
    ),
    ReasonDoc(
        "ContainerConfigError",
        _IN_PROGRESS,
        "A Secret or ConfigMap that a container needs, or a key of it, is missing.",
        "Create it, or correct its name; the run then continues.",
    ),
    ReasonDoc(
        "ImagePullFailed",
        f"{_IN_PROGRESS}, Stalled, Failed, RetrainFailed",
        "An image cannot be pulled. After ten minutes the run fails.",
        "Correct spec.image, or spec.imagePullSecrets for a private registry.",
    ),
    ReasonDoc("ImageInvalid", _FAILED, "The image's name is not valid.", "Correct spec.image."),
    ReasonDoc("Suspended", "Ready, Suspended", "spec.suspend is true.", "Set spec.suspend to false to resume."),
    ReasonDoc(
        "CommandNotFound",
        _FAILED,
        "The image does not contain the command, or the command is not executable (also a shell's exit codes 126 and "
        "127).",
        "Correct spec.command or the image.",
    ),
    ReasonDoc(
        "WrongArchitecture",
        _FAILED,
        "The image was built for another kind of CPU than the node has, such as arm64.",
        "Build the image for it, or choose nodes by nodeSelector kubernetes.io/arch.",
    ),
    ReasonDoc(
        "ContainerStartFailed",
        _FAILED,
        "The container runtime could not start the training container in any attempt.",
        "See the message and the node's logs.",
    ),
    ReasonDoc(
        "TrainingFailed",
        _FAILED,
        "The training code ended with an exit code other than 0 more often than spec.retry.limit allows.",
        "See the message and the pod's log; a change of the spec starts a new run.",
    ),
    ReasonDoc(
        "NotAllowed",
        _FAILED,
        "The spec requests a ServiceAccount, root, or a pod annotation or label that the operator's settings do not "
        "allow.",
        "Remove it, or have the administrator change config.pods in the chart's values and start a run manually.",
    ),
    ReasonDoc(
        "SpecTooLarge",
        _FAILED,
        "The Job of a run would exceed what Kubernetes or Linux accepts.",
        "Shorten command, args, env or parameters, or move long values into an input, the image or a ConfigMap.",
    ),
    ReasonDoc(
        "PrepareFailed",
        _FAILED,
        "A step of spec.prepare ended with an exit code other than 0; the training did not start.",
        "See the message, which names the step, and the log of container prepare-<step>.",
    ),
    ReasonDoc(
        "OutOfMemory",
        _FAILED,
        "A container exceeded its memory limit.",
        "Raise spec.resources.limits.memory; for the agent's containers, agent.resources in the operator's settings.",
    ),
    ReasonDoc(
        "DeadlineExceeded",
        _FAILED,
        "An attempt ran longer than spec.activeDeadlineSeconds.",
        "Raise it, or shorten the training.",
    ),
    ReasonDoc(
        "OutputEmpty",
        _FAILED,
        "The training code ended with exit code 0 but left nothing to publish.",
        "Write the model to /perennial/output (the variable PERENNIAL_OUTPUT).",
    ),
    ReasonDoc(
        "SweepFailed",
        _FAILED,
        "More trials of a sweep failed than spec.sweep.maxFailed allows, or none succeeded.",
        "See the message for the last failure, and status.sweep.trials for all of them.",
    ),
    ReasonDoc(
        "Rejected",
        _FAILED,
        "The model of a run does not meet spec.acceptance. It stays published, and the artifact does not change.",
        "Change the training, its data, or spec.acceptance; the message names the metric.",
    ),
    ReasonDoc(
        "BadTerminationMessage",
        f"{_FAILED}, PollFailed",
        "The termination message of the agent's container is missing or not valid, or its URI is not under "
        "spec.output.uri.",
        "Check that agent.image is Perennial's own image of this release, and that no other program writes to "
        "/dev/termination-log in the agent's containers.",
    ),
    ReasonDoc(
        "PodFailed",
        _FAILED,
        "The pod failed, and its status does not say why.",
        "See kubectl describe pod, and the node's events.",
    ),
    ReasonDoc("Disrupted", _EVENT, "The cluster removed the pod: preemption, eviction or a lost node.", _RETRIED),
    ReasonDoc(
        "Evicted",
        _EVENT,
        "Kueue evicted a run. It waits in the queue again, and starts again when there is quota.",
        "Nothing: it does not count against spec.retry.limit.",
    ),
    ReasonDoc("TrialSucceeded", _EVENT, "A trial of a sweep has published its model.", _NOTHING),
    ReasonDoc(
        "TrialFailed",
        _EVENT,
        "A trial of a sweep has failed; the sweep continues with the others, up to spec.sweep.maxFailed.",
        "See the message; the trial's parameters are in status.sweep.trials.",
    ),
    ReasonDoc("PodDeleted", _EVENT, "Someone deleted the pod while it ran.", _RETRIED),
    ReasonDoc(
        "NodeLost",
        _EVENT,
        "A deleted pod has not ended one minute after its grace period: its node is considered lost.",
        f"{_RETRIED} Kubernetes removes the pods of a lost node when the node is deleted.",
    ),
    ReasonDoc("PodLost", _EVENT, "The pod no longer exists, and how it ended is unknown.", _RETRIED),
    ReasonDoc("JobDeleted", _EVENT, "Someone deleted the Job while it ran; it is created again.", _RETRIED),
    ReasonDoc("RunStarted", _EVENT, "A run has started.", _NOTHING),
    ReasonDoc("RunReplaced", _EVENT, "The spec changed during a run, and a new run takes its place.", _NOTHING),
    ReasonDoc("SpecChanged", "status.runs", "The run was replaced because the spec had changed.", _NOTHING),
    ReasonDoc(
        "ScheduleMissed",
        _EVENT,
        "A scheduled run could not start within spec.startingDeadlineSeconds and was skipped.",
        "Nothing: the next scheduled run starts in time. To start late instead of skipping, raise or unset the field.",
    ),
    ReasonDoc(
        "VerdictSetAside",
        _EVENT,
        "A DriftMonitor requested a retraining because of a model that no longer serves.",
        _NOTHING,
    ),
)

REASONS: tuple[ReasonDoc, ...] = (
    *_OWN,
    *(
        ReasonDoc(
            failure.reason,
            f"{_FAILED}, PollFailed",
            f"The agent ended with exit code {failure.code} (pulling inputs, publishing or polling); "
            + ("retried up to spec.retry.limit." if failure.retriable else "not retried."),
            f"{failure.next_step[:1].upper()}{failure.next_step[1:]}.",
        )
        for failure in failures.TABLE
    ),
)
"""All reasons in conditions, run records and Events of a TrainingJob."""
