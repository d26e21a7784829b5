"""What every reason of this room means and what to do: the reference of condition reasons is made from this table."""

from perennial.core import failures
from perennial.core.reasons import ReasonDoc

_DOING = "Ready, Reconciling, Training"
_FAILED = "Ready, Stalled, Failed, RetrainFailed"
_EVENT = "Event"

_NOTHING = "Nothing."
_BY_ITSELF = "Nothing: it goes on by itself."
_AGAIN = "Nothing: the attempt is repeated and does not count against spec.retry.limit."

_OWN = (
    ReasonDoc("RunSucceeded", "Ready, Complete", "A run of the present spec succeeded; its model is served.", _NOTHING),
    ReasonDoc("Pending", _DOING, "A run is about to start.", _BY_ITSELF),
    ReasonDoc("Starting", _DOING, "The run's Job is made and its pod starts.", _BY_ITSELF),
    ReasonDoc("Retrying", _DOING, "An attempt failed or was disrupted; the next one follows.", "See the message."),
    ReasonDoc(
        "Queued",
        _DOING,
        "The run waits in spec.queue until Kueue admits it.",
        "kubectl describe workloads tells what it waits for. If there is no workload, check that Kueue is installed "
        "and that the LocalQueue exists.",
    ),
    ReasonDoc("Fetching", _DOING, "The inputs have been pulled for more than a minute.", _BY_ITSELF),
    ReasonDoc("Preparing", _DOING, "A step of spec.prepare has run for more than a minute.", _BY_ITSELF),
    ReasonDoc("Running", _DOING, "The code runs.", _BY_ITSELF),
    ReasonDoc("Publishing", _DOING, "The output has been published for more than a minute.", _BY_ITSELF),
    ReasonDoc(
        "SlowStart",
        _DOING,
        "The pod has not started for two minutes, and its status does not say why.",
        "kubectl describe pod shows what it waits for: often a volume or ConfigMap that is missing.",
    ),
    ReasonDoc(
        "PodNotCreated",
        _DOING,
        "The run's Job has had no pod for half a minute: a quota, a LimitRange, Pod Security or a missing "
        "ServiceAccount refuses it.",
        "kubectl describe job names what refused it; the run goes on by itself once that is put right.",
    ),
    ReasonDoc(
        "Unschedulable",
        _DOING,
        "No node can take the pod.",
        "Free or add nodes, ask for less in spec.resources, or correct nodeSelector and tolerations.",
    ),
    ReasonDoc(
        "ContainerConfigError",
        _DOING,
        "A Secret or ConfigMap that a container needs, or a key of it, is missing.",
        "Make it, or correct the name; the run goes on by itself.",
    ),
    ReasonDoc(
        "ImagePullFailed",
        f"{_DOING}, Stalled, Failed, RetrainFailed",
        "An image cannot be pulled. After ten minutes the run fails.",
        "Correct spec.image, or spec.imagePullSecrets for a private registry.",
    ),
    ReasonDoc("ImageInvalid", _FAILED, "The image's name is no valid name.", "Correct spec.image."),
    ReasonDoc("Suspended", "Ready, Suspended", "spec.suspend is true.", "Set spec.suspend to false to go on."),
    ReasonDoc(
        "CommandNotFound",
        _FAILED,
        "The image does not hold the command, or it may not be executed (also a shell's exit codes 126 and 127).",
        "Correct spec.command or the image.",
    ),
    ReasonDoc(
        "ContainerStartFailed",
        _FAILED,
        "The container runtime could not start the code, time and again.",
        "See the message and the node's logs.",
    ),
    ReasonDoc(
        "TrainingFailed",
        _FAILED,
        "The code ended with another exit code than 0 more often than spec.retry.limit allows.",
        "See the message and the pod's log; a change of the spec starts a new run.",
    ),
    ReasonDoc(
        "NotAllowed",
        _FAILED,
        "The spec asks for a ServiceAccount or for root, which the operator's settings do not allow.",
        "Remove it, or have the administrator change config.pods in the chart's values and start a run by hand.",
    ),
    ReasonDoc(
        "PrepareFailed",
        _FAILED,
        "A step of spec.prepare ended with another exit code than 0; the training was not started.",
        "See the message, which names the step, and the log of container prepare-<step>.",
    ),
    ReasonDoc(
        "OutOfMemory",
        _FAILED,
        "A container was killed for using more memory than it may.",
        "Raise spec.resources.limits.memory; for the agent's containers, agent.resources in the operator's settings.",
    ),
    ReasonDoc(
        "DeadlineExceeded",
        _FAILED,
        "An attempt ran longer than spec.activeDeadlineSeconds.",
        "Raise it, or make the training shorter.",
    ),
    ReasonDoc(
        "OutputEmpty",
        _FAILED,
        "The code ended well but left nothing to publish.",
        "Write the model to /perennial/output (the variable PERENNIAL_OUTPUT).",
    ),
    ReasonDoc(
        "SweepFailed",
        _FAILED,
        "More trials of a sweep failed than spec.sweep.maxFailed allows, or none succeeded.",
        "See the message for the last of them, and status.sweep.trials for all.",
    ),
    ReasonDoc(
        "Rejected",
        _FAILED,
        "A run's model does not meet spec.acceptance. It stays where it was published; the artifact stays as it was.",
        "Change the training, its data, or spec.acceptance; the message names the metric.",
    ),
    ReasonDoc(
        "BadTerminationMessage",
        f"{_FAILED}, PollFailed",
        "What the pod said of its result is not what the agent says, or points outside of spec.output.uri.",
        "Check that agent.image is Perennial's own of this release, and what else writes to the termination log.",
    ),
    ReasonDoc(
        "PodFailed",
        _FAILED,
        "The pod failed and nothing in its status says why.",
        "kubectl describe pod, and the node's events.",
    ),
    ReasonDoc("Disrupted", _EVENT, "The cluster took the pod away: preemption, eviction, a lost node.", _AGAIN),
    ReasonDoc(
        "Evicted",
        _EVENT,
        "Kueue took a run's quota away. It waits in the queue again, and starts anew when there is quota.",
        "Nothing: it does not count against spec.retry.limit.",
    ),
    ReasonDoc("TrialSucceeded", _EVENT, "A trial of a sweep has published its model.", _NOTHING),
    ReasonDoc(
        "TrialFailed",
        _EVENT,
        "A trial of a sweep has failed; the sweep goes on with the others, up to spec.sweep.maxFailed.",
        "See the message; the trial's parameters stand in status.sweep.trials.",
    ),
    ReasonDoc("PodDeleted", _EVENT, "Someone deleted the pod while it ran.", _AGAIN),
    ReasonDoc(
        "NodeLost",
        _EVENT,
        "A pod was to end and did not within its grace period and a minute more: its node is taken for dead.",
        f"{_AGAIN} Pods of the dead node go when the node is deleted.",
    ),
    ReasonDoc("PodLost", _EVENT, "The pod is gone, and with it the word of how it ended.", _AGAIN),
    ReasonDoc("JobDeleted", _EVENT, "Someone deleted the Job while it ran; it is made again.", _AGAIN),
    ReasonDoc("RunStarted", _EVENT, "A run starts.", _NOTHING),
    ReasonDoc(
        "RunReplaced", _EVENT, "The spec changed while a run was under way, and another takes its place.", _NOTHING
    ),
    ReasonDoc("SpecChanged", "status.runs", "The run was replaced because the spec had changed.", _NOTHING),
    ReasonDoc(
        "ScheduleMissed",
        _EVENT,
        "A scheduled run could not start within spec.startingDeadlineSeconds and was passed over.",
        "Nothing: the next time holds. Raise the field, or unset it, to run late rather than not at all.",
    ),
    ReasonDoc(
        "VerdictSetAside",
        _EVENT,
        "A DriftMonitor asked for training because of a model that has been replaced since.",
        _NOTHING,
    ),
)

REASONS: tuple[ReasonDoc, ...] = (
    *_OWN,
    *(
        ReasonDoc(
            failure.reason,
            f"{_FAILED}, PollFailed",
            f"fetch, publish or poll ended with exit code {failure.code}; "
            + ("repeated up to spec.retry.limit." if failure.retriable else "not repeated."),
            f"{failure.next_step[:1].upper()}{failure.next_step[1:]}.",
        )
        for failure in failures.TABLE
    ),
)
"""Every reason that a TrainingJob's conditions, records and Events give."""
