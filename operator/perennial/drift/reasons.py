"""Reasons of a DriftMonitor's conditions and Events, each with its meaning and what to do about it.

Those of verdicts are in `finding_reasons`; `REASONS` has all.
"""

from perennial.core import waiting
from perennial.core.reasons import ReasonDoc
from perennial.drift.finding_reasons import FINDINGS

WATCHING = "Watching"
SUSPENDED = "Suspended"
NO_VERDICT_YET = "NoVerdictYet"
NO_VERDICT = "NoVerdict"
NEW_MODEL = "NewModel"
NOT_ALLOWED = "NotAllowed"
TARGET_NOT_FOUND = "TargetNotFound"
TARGET_NOT_READY = "TargetNotReady"
NO_CANDIDATE = "NoCandidate"
CAPTURE_NOT_ENABLED = "CaptureNotEnabled"
REFERENCE_UNKNOWN = "ReferenceUnknown"
COMPARISON_FAILED = "ComparisonFailed"
BAD_TERMINATION_MESSAGE = "BadTerminationMessage"
VERDICT_LOST = "VerdictLost"
NO_DATA = "NoData"
DEADLINE_EXCEEDED = "DeadlineExceeded"
OUT_OF_MEMORY = "OutOfMemory"

NOT_OURS = "see kubectl logs; agent and operator must be of one release"

NEEDS_PERSON = frozenset({DEADLINE_EXCEEDED, OUT_OF_MEMORY, BAD_TERMINATION_MESSAGE})
"""Failures that persist until the configuration changes, in addition to those marked so in `core.failures`."""

QUIET = frozenset({TARGET_NOT_READY})
"""Reasons of Ready=False that occur in normal operation and need no Event."""

REASONS: tuple[ReasonDoc, ...] = (
    ReasonDoc(
        NOT_ALLOWED,
        "Ready, Stalled",
        "The operator's settings do not allow the ServiceAccount.",
        "Remove spec.serviceAccountName, or have it added to config.pods.serviceAccounts.",
    ),
    ReasonDoc(WATCHING, "Ready", "Comparisons run on schedule and give verdicts.", "Nothing."),
    ReasonDoc(SUSPENDED, "Ready", "spec.suspend is true: no comparison starts.", "Set it to false to resume."),
    ReasonDoc(
        NO_VERDICT_YET,
        "Ready, Drifted",
        "No comparison has finished yet.",
        "Wait for the schedule, or create a Job from the CronJob.",
    ),
    ReasonDoc(
        VERDICT_LOST,
        "Ready, Event",
        "A comparison completed, but its pod was deleted before the operator read its verdict.",
        "Nothing: the comparison is run once more. If it happens often, find out what deletes finished pods.",
    ),
    ReasonDoc(
        NO_DATA,
        "Ready",
        "Several comparisons in a row had too little data for a verdict, so the model is not monitored.",
        "Send requests, check the deployment's capture, widen current.window, or lower checks.minRows.",
    ),
    ReasonDoc(
        NO_VERDICT,
        "Ready",
        "The newest comparison had too little data for a verdict.",
        "Wait for more requests, widen current.window, or lower checks.minRows.",
    ),
    ReasonDoc(
        NEW_MODEL, "Drifted", "The newest verdict is about a model that is no longer served.", "Wait for the next."
    ),
    ReasonDoc(
        TARGET_NOT_FOUND,
        "Reconciling",
        "The ModelDeployment does not exist.",
        "Create it, or create a DriftMonitor for another.",
    ),
    ReasonDoc(
        NO_CANDIDATE,
        "Ready",
        "target.revision is Candidate, and no candidate of a canary or a shadow answers requests.",
        "Nothing: comparisons run during the steps of the next canary.",
    ),
    ReasonDoc(TARGET_NOT_READY, "Reconciling", "The ModelDeployment serves no model yet.", "See its conditions."),
    ReasonDoc(
        CAPTURE_NOT_ENABLED,
        "Stalled",
        "spec.current.window needs captured requests, but the ModelDeployment captures none.",
        "Set spec.capture of the ModelDeployment, or spec.current.uri of the DriftMonitor.",
    ),
    ReasonDoc(
        REFERENCE_UNKNOWN,
        "Stalled",
        "The target serves a model from an image, which does not record its training data.",
        "Set spec.reference.uri.",
    ),
    ReasonDoc(COMPARISON_FAILED, "Ready, Event", "The newest comparison failed.", "See the message and kubectl logs."),
    ReasonDoc(
        BAD_TERMINATION_MESSAGE,
        "Stalled",
        "The comparison succeeded, but its termination message is not a valid verdict.",
        "See kubectl logs; check that agent and operator are of the same release.",
    ),
    ReasonDoc(
        DEADLINE_EXCEEDED,
        "Stalled",
        "A comparison exceeded spec.activeDeadlineSeconds.",
        "Raise it, or compare fewer columns or a shorter window.",
    ),
    ReasonDoc(
        OUT_OF_MEMORY, "Stalled", "A comparison exceeded its memory limit.", "Raise spec.resources.limits.memory."
    ),
    ReasonDoc(
        waiting.UNSCHEDULABLE,
        "Ready",
        "The comparison's pod cannot be scheduled.",
        "Free or add nodes, or correct spec.resources, nodeSelector or tolerations.",
    ),
    ReasonDoc(
        waiting.IMAGE_PULL_FAILED,
        "Ready",
        "The agent's image cannot be pulled.",
        "Check the image name and imagePullSecrets.",
    ),
    ReasonDoc(
        waiting.IMAGE_INVALID, "Ready", "The agent's image name is invalid.", "Correct it in the chart's values."
    ),
    ReasonDoc(
        waiting.CONTAINER_CONFIG_ERROR,
        "Ready",
        "The comparison's container cannot be created, usually because a Secret is missing.",
        "Create what the message names, or correct spec.storage.",
    ),
    *FINDINGS,
)
