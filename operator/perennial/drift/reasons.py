"""Every reason that a DriftMonitor's conditions and Events give, with what it means and what to do."""

from collections.abc import Mapping

from perennial.api.driftmonitor.status import Finding
from perennial.core import waiting
from perennial.core.reasons import ReasonDoc

WATCHING = "Watching"
SUSPENDED = "Suspended"
NO_VERDICT_YET = "NoVerdictYet"
NO_VERDICT = "NoVerdict"
NEW_MODEL = "NewModel"
TARGET_NOT_FOUND = "TargetNotFound"
TARGET_NOT_READY = "TargetNotReady"
CAPTURE_NOT_ENABLED = "CaptureNotEnabled"
REFERENCE_UNKNOWN = "ReferenceUnknown"
COMPARISON_FAILED = "ComparisonFailed"
BAD_TERMINATION_MESSAGE = "BadTerminationMessage"
DEADLINE_EXCEEDED = "DeadlineExceeded"
OUT_OF_MEMORY = "OutOfMemory"
DRIFT_DETECTED = "DriftDetected"
NO_DRIFT = "NoDrift"
QUALITY_FINDINGS = "QualityFindings"
QUALITY_HOLDS = "QualityHolds"
DRIFT_PERSISTS = "DriftPersists"
DEGRADATION_PERSISTS = "DegradationPersists"
LIKELY_DEGRADATION_PERSISTS = "LikelyDegradationPersists"
UNFAIRNESS_PERSISTS = "UnfairnessPersists"
RETRAIN_BUDGET_SPENT = "RetrainBudgetSpent"
PERFORMANCE_BEYOND_LIMIT = "PerformanceBeyondLimit"
PERFORMANCE_HOLDS = "PerformanceHolds"
ESTIMATE_BEYOND_LIMIT = "EstimateBeyondLimit"
ESTIMATE_HOLDS = "EstimateHolds"
GROUPS_TREATED_DIFFERENTLY = "GroupsTreatedDifferently"
FAIRNESS_HOLDS = "FairnessHolds"
NOT_JUDGED = "NotJudged"

NOT_OURS = "see kubectl logs, and find out what else writes there"

NEEDS_PERSON = frozenset({DEADLINE_EXCEEDED, OUT_OF_MEMORY, BAD_TERMINATION_MESSAGE})
"""Failures that come back with every comparison until someone acts, beside those in `core.failures`."""

PERSISTING: Mapping[Finding, str] = {
    "Drift": DRIFT_PERSISTS,
    "Degradation": DEGRADATION_PERSISTS,
    "LikelyDegradation": LIKELY_DEGRADATION_PERSISTS,
    "Unfairness": UNFAIRNESS_PERSISTS,
}
"""Reason of a request to train again, by the first thing that the verdict found."""

QUIET = frozenset({TARGET_NOT_READY})
"""Reasons for not being ready that are part of a healthy course, and so no news."""

REASONS: tuple[ReasonDoc, ...] = (
    ReasonDoc(WATCHING, "Ready", "Comparisons run on schedule and end with verdicts.", "Nothing."),
    ReasonDoc(SUSPENDED, "Ready", "spec.suspend is true: no comparison starts.", "Set it to false to go on."),
    ReasonDoc(
        NO_VERDICT_YET, "Ready, Drifted", "No comparison has ended yet.", "Wait for the schedule, or start one by hand."
    ),
    ReasonDoc(
        NO_VERDICT,
        "Ready",
        "The newest comparison had too little data to judge.",
        "Wait for more requests, widen current.window, or lower checks.minRows.",
    ),
    ReasonDoc(NEW_MODEL, "Drifted", "The newest verdict is about a model that no longer serves.", "Wait for the next."),
    ReasonDoc(
        TARGET_NOT_FOUND,
        "Reconciling",
        "There is no ModelDeployment of that name.",
        "Create it, or make a DriftMonitor for another.",
    ),
    ReasonDoc(TARGET_NOT_READY, "Reconciling", "The ModelDeployment serves no model yet.", "See its conditions."),
    ReasonDoc(
        CAPTURE_NOT_ENABLED,
        "Stalled",
        "Captured requests are to be compared, but the ModelDeployment captures none.",
        "Set spec.capture there, or spec.current.uri here.",
    ),
    ReasonDoc(
        REFERENCE_UNKNOWN,
        "Stalled",
        "The target's model comes from an image, which has no record of what it was trained on.",
        "Set spec.reference.uri.",
    ),
    ReasonDoc(COMPARISON_FAILED, "Ready, Event", "The newest comparison failed.", "See the message and kubectl logs."),
    ReasonDoc(
        BAD_TERMINATION_MESSAGE,
        "Stalled",
        "The comparison ended well but what it left is not a verdict of the agent.",
        "See kubectl logs; check that agent and operator are of one release.",
    ),
    ReasonDoc(
        DEADLINE_EXCEEDED,
        "Stalled",
        "A comparison took longer than activeDeadlineSeconds.",
        "Raise it, or compare fewer columns or a shorter window.",
    ),
    ReasonDoc(
        OUT_OF_MEMORY, "Stalled", "A comparison needed more memory than its limit.", "Raise resources.limits.memory."
    ),
    ReasonDoc(
        waiting.UNSCHEDULABLE,
        "Ready",
        "No node can take the comparison's pod.",
        "Free or add nodes, or correct resources, nodeSelector or tolerations.",
    ),
    ReasonDoc(
        waiting.IMAGE_PULL_FAILED, "Ready", "The agent's image cannot be pulled.", "Check it and imagePullSecrets."
    ),
    ReasonDoc(waiting.IMAGE_INVALID, "Ready", "That is not the name of an image.", "Correct the chart's values."),
    ReasonDoc(
        waiting.CONTAINER_CONFIG_ERROR,
        "Ready",
        "The comparison's container cannot be made, mostly for want of a Secret.",
        "Create what the message names, or correct spec.storage.",
    ),
    ReasonDoc(DRIFT_DETECTED, "Drifted, Event", "Enough columns have drifted.", "Look at the report; retrain."),
    ReasonDoc(NO_DRIFT, "Drifted", "Too few columns have drifted to matter.", "Nothing."),
    ReasonDoc("DriftEnded", "Event", "The newest verdict finds no drift any more.", "Nothing."),
    ReasonDoc(QUALITY_FINDINGS, "DataQuality", "The data itself is broken.", "Look at what the message names."),
    ReasonDoc(QUALITY_HOLDS, "DataQuality", "Nothing was found wrong with the data itself.", "Nothing."),
    ReasonDoc(
        PERFORMANCE_BEYOND_LIMIT,
        "Degraded, Event",
        "A figure of performance is beyond its limit with its whole interval.",
        "Look at the report; retrain, or roll back.",
    ),
    ReasonDoc(PERFORMANCE_HOLDS, "Degraded", "No figure of performance is surely beyond its limit.", "Nothing."),
    ReasonDoc("DegradationEnded", "Event", "Performance is within its limits again.", "Nothing."),
    ReasonDoc(
        ESTIMATE_BEYOND_LIMIT,
        "LikelyDegraded, Event",
        "An estimate of performance, made without labels, is beyond its limit with its whole interval.",
        "Look at the report and at what drifted; hasten labels.",
    ),
    ReasonDoc(ESTIMATE_HOLDS, "LikelyDegraded", "No estimate of performance is surely beyond its limit.", "Nothing."),
    ReasonDoc("LikelyDegradationEnded", "Event", "Estimates of performance are within their limits again.", "Nothing."),
    ReasonDoc(
        GROUPS_TREATED_DIFFERENTLY,
        "Unfair, Event",
        "A figure of fairness is beyond its limit with its whole interval.",
        "Look at the groups in the report; have people look at the decisions.",
    ),
    ReasonDoc(FAIRNESS_HOLDS, "Unfair", "No figure of fairness is surely beyond its limit.", "Nothing."),
    ReasonDoc("UnfairnessEnded", "Event", "Fairness is within its limits again.", "Nothing."),
    ReasonDoc(
        NOT_JUDGED,
        "Degraded, LikelyDegraded, Unfair",
        "No check of the kind could be judged, mostly for want of labels.",
        "Do what the message says; wait for labels, or correct groundTruth and predictions.",
    ),
    ReasonDoc(
        DRIFT_PERSISTS,
        "RetrainRequested",
        "Enough verdicts in a row found what onDrift.retrain.findings names, drift first, so a TrainingJob is asked to "
        "run again.",
        "Nothing; watch the TrainingJob.",
    ),
    ReasonDoc(
        DEGRADATION_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest of these verdicts found a performance check failed and no drift.",
        "Watch the TrainingJob; roll back if the loss is large.",
    ),
    ReasonDoc(
        LIKELY_DEGRADATION_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest of these verdicts found only an estimate of performance failed.",
        "Watch the TrainingJob; hasten labels.",
    ),
    ReasonDoc(
        UNFAIRNESS_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest of these verdicts found only a fairness check failed.",
        "Watch the TrainingJob, and have people look at the decisions: new data alone may not cure it.",
    ),
    ReasonDoc(
        RETRAIN_BUDGET_SPENT,
        "RetrainRequested",
        "A finding lasts, but training was asked for as often within seven days as onDrift.retrain.maxPerWeek allows.",
        "Find out why training does not cure it: look at the report, the labels and the inputs; or raise the number.",
    ),
    ReasonDoc("RetrainRequested", "Event", "A TrainingJob is asked to run again.", "Nothing; watch the TrainingJob."),
)
