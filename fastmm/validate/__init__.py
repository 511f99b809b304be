"""Validation: how sure a score is.

``bootstrap``
    Intervals of the area under the ROC curve, by drawing whole patients.
``resampling``
    Draws of whole patients, and the intervals they give to any weighted statistic.
``operating_points``
    Sensitivity at a fixed specificity, and balanced accuracy.
``reliability``, ``recalibration``
    Calibration of probabilities: curve, Brier score, slope and intercept.
``comparison``
    Paired comparison of two areas on the same patients.
``pairs``
    Area under the ROC curve from pairs of patients left out together, without refits.
``permutation``
    p-values by permuting the labels of whole patients, without refits.
``score_permutation``
    The same for scores of any model, which stay as they are.
``training_share``
    How much wider intervals are of scores out of fold, whose models share patients.
``few_groups``
    How much wider intervals over few patients are.
``conformal``, ``conformal_sets``
    Prediction intervals and sets for new patients, by jackknife+ and CV+.
``calibration``
    Scores into probabilities, by Platt's curve or a temperature.
``nested``
    Predictions of each patient by a search that never saw them.
"""
