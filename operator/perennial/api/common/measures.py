"""Names of the performance and fairness metrics, which `stats.performance` and `stats.fairness` define."""

from typing import Literal

MetricName = Literal[
    "accuracy",
    "precision",
    "recall",
    "f1",
    "logLoss",
    "rocAuc",
    "prAuc",
    "brier",
    "calibrationError",
    "mae",
    "rmse",
    "mape",
    "r2",
    "ndcg",
]

FairnessName = Literal[
    "statisticalParityDifference",
    "disparateImpact",
    "equalOpportunityDifference",
    "averageOddsDifference",
    "predictiveParityDifference",
    "demographicParityGap",
    "demographicParityRatio",
    "equalOpportunityGap",
    "equalizedOddsGap",
    "predictiveParityGap",
]

EstimatedOfClasses = Literal["accuracy", "precision", "recall", "f1", "rocAuc", "logLoss", "brier"]
EstimatedOfNumbers = Literal["mae", "rmse", "mape"]
EstimatedName = Literal[EstimatedOfClasses, EstimatedOfNumbers]
