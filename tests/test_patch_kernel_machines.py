"""Machines that know patch kernels by name."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import images
from sklearn.base import clone

from fastmm import (
    LSSVC,
    LSSVCCV,
    SVC,
    KernelRidge,
    KernelRidgeCV,
    extract_patches,
    load_model,
    patch_kernel,
    save_model,
)
from fastmm.solve.kernel.gram import KernelFunction
from fastmm.solve.kernel.options import as_rows, kernel_options

MACHINES = [
    LSSVC(C=3.0),
    LSSVCCV(Cs=(1.0, 10.0)),
    SVC(),
    KernelRidge(gamma="scale", alpha=0.1),
    KernelRidge(gamma="scale", alpha=0.1, solver="nystrom", n_components=15),
    KernelRidgeCV((0.1, 1.0), gamma="scale"),
]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(
    "options", [{"patch_size": (3, 2)}, {"patch_size": (3, 3), "kernel": "linear", "shifts": 1}]
)
def test_machines_know_the_kernel_by_name(machine, options, tmp_path):
    A, y = images(30, (7, 6)), np.arange(30) % 2
    A[y == 1, 2:5, 2:5] += 1
    new = images(8, (7, 6), 5)
    model = clone(machine).set_params(kernel="patch", kernel_params=options).fit(A, y)
    gamma = 1 / (np.prod(options["patch_size"]) * A.var())
    given = clone(machine).set_params(kernel="precomputed")
    given.fit(patch_kernel(A, gamma=gamma, **options), y)
    kernel = patch_kernel(new, A, gamma=gamma, **options)
    values = "predict" if "Ridge" in type(model).__name__ else "decision_function"
    expected = getattr(given, values)(kernel)
    np.testing.assert_allclose(getattr(model, values)(new), expected, rtol=1e-6, atol=1e-7)
    # Rows of pixels, as pipelines have them, and files.
    rows = clone(model).set_params(kernel_params={**options, "image_shape": (7, 6)})
    rows.fit(A.reshape(30, -1), y)
    np.testing.assert_array_equal(
        getattr(rows, values)(new.reshape(8, -1)), getattr(model, values)(new)
    )
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    again = load_model(save_model(model, tmp_path / "model.fastmm"))
    np.testing.assert_array_equal(getattr(again, values)(new), getattr(model, values)(new))


def test_machines_leave_patients_out_exactly():
    A, y, groups = images(24, (6, 6)), np.arange(24) % 2, np.arange(24) // 3
    options = {"patch_size": (3, 3)}
    model = LSSVC(kernel="patch", kernel_params=options, gamma=0.1).fit(A, y, groups=groups)
    part = clone(model).fit(A[groups != 2], y[groups != 2])
    np.testing.assert_allclose(
        model.cv_decision_[groups == 2], part.decision_function(A[groups == 2]), rtol=1e-8
    )


def test_diagonals():
    A = images(4, (5, 5))
    for options in ({"patch_size": (2, 2)}, {"patch_size": (2, 2), "shifts": 1}):
        model = LSSVC(kernel="patch", kernel_params=options)
        rows = as_rows(model, A, fit=True)
        function = KernelFunction("patch", 0.3, options=kernel_options(model))
        expected = np.diag(patch_kernel(A, gamma=0.3, **options))
        np.testing.assert_allclose(function.diagonal(rows, np), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "options", "X", "message"),
    [
        ("patch", None, np.ones((4, 5, 5)), "needs a `patch_size`"),
        ("patch", {"patch_size": (2, 2), "degree": 1}, np.ones((4, 5, 5)), "may hold patch_size"),
        ("patch", {"patch_size": (2, 2)}, np.ones((4, 25)), "`image_shape` among `kernel_params`"),
        ("patch", {"patch_size": (2, 2), "image_shape": (5, 4)}, np.ones((4, 25)), "got shape"),
        ("patch", {"patch_size": (2, 2), "image_shape": (5, 4)}, np.ones((4, 5, 5)), "that of the"),
        ("patch", {"patch_size": (9, 2)}, np.ones((4, 5, 5)), "must fit into the images"),
        ("rbf", {"degree": 1}, np.ones((4, 5)), "must be None or empty for this `kernel`"),
        ("ntk", {"degree": 1}, np.ones((4, 5)), "may hold depth, bias"),
    ],
)
def test_wrong_kernel_params_are_named(kernel, options, X, message):
    with pytest.raises(ValueError, match=message):
        LSSVC(kernel=kernel, kernel_params=options).fit(X, [0, 0, 1, 1])


def test_images_of_another_size_are_refused():
    model = LSSVC(kernel="patch", kernel_params={"patch_size": (2, 2)})
    model.fit(images(6, (4, 4)), [0, 1] * 3)
    with pytest.raises(ValueError, match=r"images of \(4, 5\), but LSSVC is expecting \(4, 4\)"):
        model.predict(images(2, (4, 5)))


def test_patches_of_extract_patches_are_the_same():
    A = images(3, (6, 6))
    patches = extract_patches(A, (3, 3)).reshape(3, 16, 9)
    square = ((patches[:, None] - patches) ** 2).sum(-1)
    got = patch_kernel(A, patch_size=(3, 3), gamma=0.1)
    np.testing.assert_allclose(got, np.exp(-0.1 * square).mean(-1), atol=1e-13)
