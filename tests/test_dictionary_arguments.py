"""What PatchDictionary refuses, and what scikit-learn asks of it."""

from __future__ import annotations

import numpy as np
import pytest
from dictionary_by_definition import draw, fitted
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmm import PatchDictionary


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patch_size": (0, 3)}, ValueError, "`patch_size"),
        ({"patch_size": (30, 3)}, ValueError, "`patch_size` must fit into the images"),
        ({"patch_size": (3,), "pool": 19}, ValueError, "`pool` must have no more cells"),
        ({"n_atoms": 0}, ValueError, "`n_atoms` must be a positive integer, got 0"),
        ({"n_atoms": 1000}, ValueError, "`n_atoms` must be at most the number of patches"),
        ({"pool": 19}, ValueError, "`pool` must have no more cells than there are patches"),
        ({"pool": (2, 0)}, ValueError, r"`pool\[1\]` must be a positive integer"),
        ({"pool": []}, ValueError, "`pool` must hold at least one grid|`pool` must be 2"),
        ({"pool": "global"}, TypeError, "`pool` must be a positive integer"),
        ({"step": 0}, ValueError, "`step` must be a positive integer, got 0"),
        ({"atoms": "pca"}, ValueError, "`atoms` must be one of"),
        ({"threshold": -1}, ValueError, "`threshold` must be a finite number of at least 0"),
        ({"sign": "negative"}, ValueError, "`sign` must be one of"),
        ({"whitening": 0}, ValueError, "`whitening` must be a finite number greater than 0"),
        ({"contrast": -0.1}, ValueError, "`contrast` must be a finite number of at least 0"),
        ({"n_patches": 0}, ValueError, "`n_patches` must be a positive integer"),
        ({"n_components": 0}, ValueError, "`n_components` must be a positive integer"),
        ({"n_components": 2, "whitening": None}, ValueError, "`n_components` must be None"),
        ({"dilation": 0}, ValueError, "`dilation` must be a positive integer"),
        ({"dilation": 10}, ValueError, "`patch_size` must fit into the images"),
        ({"overlap": 0}, ValueError, "`overlap` must be a positive integer"),
        ({"overlap": 3}, ValueError, "`overlap` must be 1 for several grids, and at most"),
        ({"overlap": 2, "pool": [(3, 3), 2]}, ValueError, "`overlap` must be 1 for several grids"),
        ({"below": "layer"}, TypeError, "`below` must be a PatchDictionary or None, got str"),
        ({"below": PatchDictionary((2,))}, ValueError, "`below` must have patches of as many"),
        (
            {"below": PatchDictionary((2, 2), pool=[(2, 2), (1, 1)])},
            ValueError,
            "`below` must have patches of as many axes and a single grid",
        ),
        ({"rounds": -1}, ValueError, "`rounds` must be an integer of at least 0"),
        ({"seed": -1}, ValueError, "`seed` must be an integer of at least 0"),
    ],
)
def test_wrong_parameters(options, error, message):
    model = PatchDictionary(**{"patch_size": (3, 3), "n_atoms": 4, "pool": 2, **options})
    with pytest.raises(error, match=message):
        model.fit(draw((2, 20, 20)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    images = draw((3, 20, 20))
    model = fitted(images)
    images[2, 3, 4] = bad
    for call in (model.transform, clone(model).fit):
        with pytest.raises(ValueError, match=r"NaN or infinity: 1 of 1200 .* \(2, 3, 4\)"):
            call(images)


def test_wrong_images():
    model = fitted(draw((3, 20, 20)))
    with pytest.raises(
        ValueError, match=r"shape \(n, 20, 20\) of those seen in fit, got \(3, 21, 20\)"
    ):
        model.transform(np.zeros((3, 21, 20)))
    with pytest.raises(NotFittedError):
        clone(model).transform(np.zeros((3, 20, 20)))
    with pytest.raises(ValueError, match="2 spatial axes"):
        clone(model).fit(np.zeros((20, 20)))
    with pytest.raises(ValueError, match="Complex data not supported"):
        clone(model).fit(np.zeros((3, 20, 20), complex))
    with pytest.raises(ValueError, match="not compatible with arrays of bytes/strings"):
        clone(model).fit(np.full((3, 20, 20), "a"))
    with pytest.raises(TypeError, match="masked array"):
        model.transform(np.ma.zeros((3, 20, 20)))
    with pytest.raises(ValueError, match="0 sample"):
        clone(model).fit(np.zeros((0, 20, 20)))
    assert model.transform(np.zeros((0, 20, 20))).shape == (0, 72)


@parametrize_with_checks(
    [PatchDictionary((2,), 3, pool=1, n_patches=100, rounds=1)],
    expected_failed_checks=lambda _: {
        "check_fit2d_1feature": "the message speaks of patches, which do not fit into one pixel"
    },
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
