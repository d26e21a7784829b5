"""Reasons of a DriftMonitor's conditions and Events, each with its meaning and what to do about it."""

from collections.abc import Mapping

from perennial.api.driftmonitor.status import Finding
from perennial.core import waiting
from perennial.core.reasons import ReasonDoc

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
REFERENCE_DIFFERS = "ReferenceDiffers"
REFERENCE_UNKNOWN = "ReferenceUnknown"
COMPARISON_FAILED = "ComparisonFailed"
BAD_TERMINATION_MESSAGE = "BadTerminationMessage"
VERDICT_LOST = "VerdictLost"
NO_DATA = "NoData"
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
SEGMENT_BEYOND_LIMIT = "SegmentBeyondLimit"
SEGMENTS_HOLD = "SegmentsHold"
SEGMENT_DEVIATION_PERSISTS = "SegmentDeviationPersists"
PREDICTIONS_DRIFTED = "PredictionsDrifted"
PREDICTIONS_HOLD = "PredictionsHold"
PREDICTION_DRIFT_PERSISTS = "PredictionDriftPersists"
COLUMNS_DRIFTED_TOGETHER = "ColumnsDriftedTogether"
COLUMNS_HOLD_TOGETHER = "ColumnsHoldTogether"
MULTIVARIATE_DRIFT_PERSISTS = "MultivariateDriftPersists"

NOT_OURS = "see kubectl logs; agent and operator must be of one release"

NEEDS_PERSON = frozenset({DEADLINE_EXCEEDED, OUT_OF_MEMORY, BAD_TERMINATION_MESSAGE})
"""Failures that persist until the configuration changes, in addition to those marked so in `core.failures`."""

PERSISTING: Mapping[Finding, str] = {
    "Drift": DRIFT_PERSISTS,
    "Degradation": DEGRADATION_PERSISTS,
    "LikelyDegradation": LIKELY_DEGRADATION_PERSISTS,
    "Unfairness": UNFAIRNESS_PERSISTS,
    "SegmentDeviation": SEGMENT_DEVIATION_PERSISTS,
    "PredictionDrift": PREDICTION_DRIFT_PERSISTS,
    "MultivariateDrift": MULTIVARIATE_DRIFT_PERSISTS,
}
"""Reason of RetrainRequested, by the verdict's first finding."""

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
    ReasonDoc(
        DRIFT_DETECTED,
        "Drifted, Event",
        "The share of drifted columns reaches checks.drift.share.",
        "Inspect the report; retrain.",
    ),
    ReasonDoc(NO_DRIFT, "Drifted", "The share of drifted columns is below checks.drift.share.", "Nothing."),
    ReasonDoc(
        REFERENCE_DIFFERS,
        "Event",
        "The files under spec.reference.uri have changed since the verdict before.",
        "Find out who changed them. Set spec.reference.digest, so that no comparison uses changed files.",
    ),
    ReasonDoc("DriftEnded", "Event", "The newest verdict finds no drift, unlike the one before.", "Nothing."),
    ReasonDoc(
        QUALITY_FINDINGS, "DataQuality", "The current data has quality problems.", "Correct the columns in the message."
    ),
    ReasonDoc(QUALITY_HOLDS, "DataQuality", "No data quality problems were found.", "Nothing."),
    ReasonDoc(
        PERFORMANCE_BEYOND_LIMIT,
        "Degraded, Event",
        "A performance metric is beyond its limit with its whole confidence interval.",
        "Inspect the report; retrain or roll back.",
    ),
    ReasonDoc(PERFORMANCE_HOLDS, "Degraded", "No performance metric is significantly beyond its limit.", "Nothing."),
    ReasonDoc("DegradationEnded", "Event", "All performance metrics are within their limits again.", "Nothing."),
    ReasonDoc(
        ESTIMATE_BEYOND_LIMIT,
        "LikelyDegraded, Event",
        "A performance metric estimated without labels is beyond its limit with its whole confidence interval.",
        "Inspect the report and the drifted columns; collect labels to confirm.",
    ),
    ReasonDoc(
        ESTIMATE_HOLDS,
        "LikelyDegraded",
        "No estimated performance metric is significantly beyond its limit.",
        "Nothing.",
    ),
    ReasonDoc(
        "LikelyDegradationEnded",
        "Event",
        "All estimated performance metrics are within their limits again.",
        "Nothing.",
    ),
    ReasonDoc(
        GROUPS_TREATED_DIFFERENTLY,
        "Unfair, Event",
        "A fairness metric is beyond its limit with its whole confidence interval.",
        "Inspect the groups in the report; review the model's decisions.",
    ),
    ReasonDoc(FAIRNESS_HOLDS, "Unfair", "No fairness metric is significantly beyond its limit.", "Nothing."),
    ReasonDoc("UnfairnessEnded", "Event", "All fairness metrics are within their limits again.", "Nothing."),
    ReasonDoc(
        SEGMENT_BEYOND_LIMIT,
        "SegmentDeviates, Event",
        "In a segment, the share of drifted columns reaches checks.drift.share, or a check of performance or fairness "
        "failed.",
        "Inspect the segments in the report; the message names the worst one.",
    ),
    ReasonDoc(
        SEGMENTS_HOLD,
        "SegmentDeviates",
        "No judged segment has drifted, and no check failed in one. The message counts those not judged.",
        "Nothing.",
    ),
    ReasonDoc("SegmentDeviationEnded", "Event", "No segment deviates any longer.", "Nothing."),
    ReasonDoc(
        PREDICTIONS_DRIFTED,
        "PredictionDrift, Event",
        "The model's answers are distributed differently from those in the reference.",
        "Inspect the predictions in the report. With drifted inputs this is expected; without, look at the columns "
        "together (checks.multivariate), and at how the model is called.",
    ),
    ReasonDoc(
        PREDICTIONS_HOLD, "PredictionDrift", "The model's answers are distributed as in the reference.", "Nothing."
    ),
    ReasonDoc(
        "PredictionDriftEnded", "Event", "The newest verdict finds no drift of predictions any more.", "Nothing."
    ),
    ReasonDoc(
        COLUMNS_DRIFTED_TOGETHER,
        "JointDrift, Event",
        "Rows of the reference and current rows can be told apart by all columns together.",
        "If single columns have drifted too, begin with them. If not, look at what the columns have in common, such as "
        "two that used to rise together.",
    ),
    ReasonDoc(
        COLUMNS_HOLD_TOGETHER,
        "JointDrift",
        "All columns together are distributed as in the reference, as far as these tests see.",
        "Nothing.",
    ),
    ReasonDoc("JointDriftEnded", "Event", "The newest verdict finds no drift of all columns together.", "Nothing."),
    ReasonDoc(
        NOT_JUDGED,
        "Degraded, LikelyDegraded, Unfair, SegmentDeviates, PredictionDrift, JointDrift",
        "No check of this kind could be evaluated, usually because labels are missing; or no segment could be judged.",
        "Follow the message; wait for labels or more rows, or correct groundTruth, predictions or segments.",
    ),
    ReasonDoc(
        DRIFT_PERSISTS,
        "RetrainRequested",
        "onDrift.retrain.after consecutive verdicts have a finding listed in onDrift.retrain.findings, and the newest "
        "found drift: a run of the TrainingJob is requested.",
        "Nothing; watch the TrainingJob.",
    ),
    ReasonDoc(
        DEGRADATION_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest verdict has a failed performance check and no drift.",
        "Watch the TrainingJob; roll back if performance has dropped a lot.",
    ),
    ReasonDoc(
        LIKELY_DEGRADATION_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest verdict has only a failed estimated performance check.",
        "Watch the TrainingJob; collect labels to confirm.",
    ),
    ReasonDoc(
        UNFAIRNESS_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest verdict has only a failed fairness check.",
        "Watch the TrainingJob and review the model's decisions: retraining alone may not help.",
    ),
    ReasonDoc(
        SEGMENT_DEVIATION_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest verdict has only a segment that deviates.",
        "Watch the TrainingJob; make sure that its data have enough rows of the segment.",
    ),
    ReasonDoc(
        PREDICTION_DRIFT_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest verdict has only drift of the predictions.",
        "Watch the TrainingJob.",
    ),
    ReasonDoc(
        MULTIVARIATE_DRIFT_PERSISTS,
        "RetrainRequested",
        "As DriftPersists, but the newest verdict has only drift of all columns together.",
        "Watch the TrainingJob.",
    ),
    ReasonDoc(
        RETRAIN_BUDGET_SPENT,
        "RetrainRequested",
        "A finding persists, but onDrift.retrain.maxPerWeek requests were made within seven days.",
        "Find out why retraining does not help: inspect the report, the labels and the inputs; or raise the limit.",
    ),
    ReasonDoc("RetrainRequested", "Event", "A run of the TrainingJob is requested.", "Nothing; watch the TrainingJob."),
)
