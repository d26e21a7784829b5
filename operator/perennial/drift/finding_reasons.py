"""Reasons that verdicts give: what a comparison has found and whether it requests a run, each with its next step."""

from collections.abc import Mapping

from perennial.api.driftmonitor.status import Finding
from perennial.core.reasons import ReasonDoc

REFERENCE_DIFFERS = "ReferenceDiffers"
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

FINDINGS: tuple[ReasonDoc, ...] = (
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
