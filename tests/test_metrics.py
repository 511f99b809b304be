from __future__ import annotations

import sklearn.metrics

from fastmm import metrics


def test_metrics_are_those_of_scikit_learn():
    assert "roc_auc_score" in metrics.__all__
    for name in metrics.__all__:
        assert getattr(metrics, name) is getattr(sklearn.metrics, name)
