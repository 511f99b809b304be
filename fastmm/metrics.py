"""Scores of predictions, as scikit-learn defines them."""

from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    mean_squared_error,
    r2_score,
    roc_auc_score,
    roc_curve,
)

__all__ = [
    "accuracy_score",
    "balanced_accuracy_score",
    "brier_score_loss",
    "mean_squared_error",
    "r2_score",
    "roc_auc_score",
    "roc_curve",
]
