"""Validation: how sure a score is.

``bootstrap``
    Intervals of the area under the ROC curve, by drawing whole patients.
``comparison``
    Paired comparison of two areas on the same patients.
``pairs``
    Area under the ROC curve from pairs of patients left out together, without refits.
``permutation``
    p-values by permuting the labels of whole patients, without refits.
``conformal``, ``conformal_sets``
    Prediction intervals and sets for new patients, by jackknife+ and CV+.
``calibration``
    Scores into probabilities, by Platt's curve or a temperature.
``nested``
    Predictions of each patient by a search that never saw them.
"""
