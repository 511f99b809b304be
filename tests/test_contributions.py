"""Contributions sum to the score; maps sum to contributions; pictures show both."""

import numpy as np
import pytest
from explained_cohorts import MODALITIES, cohort
from PIL import Image

from fastmm import (
    ImageModality,
    MultimodalClassifier,
    MultimodalRegressor,
)
from fastmm.blocks import Block, spread_slices
from fastmm.explain.contribution_maps import contribution_map, slice_contributions
from fastmm.explain.overlays import draw_bars, draw_overlay
from fastmm.explain.slopes import slopes_of
from fastmm.explanation import contributions, feature_contributions, integrated_gradients

SPLIT = [
    ("ridge", "stack", False), ("linear", "stack", False), ("ridge", "late", False),
    ("linear", "late", False), ("lssvm", "late", False), ("lssvm", "kernel", False),
    ("lssvm", "kernel", True), ("svm", "kernel", False), ("svm", "kernel", True),
]  # fmt: skip


@pytest.mark.parametrize(("solver", "fusion", "interactions"), SPLIT)
@pytest.mark.parametrize("classes", [2, 3])
def test_contributions_of_modalities_sum_to_the_score(solver, fusion, interactions, classes):
    data, y = cohort(classes)
    model = MultimodalClassifier(
        MODALITIES, solver=solver, fusion=fusion, interactions=interactions
    ).fit(data, y)
    parts = contributions(model, data)
    assert set(parts) == {*MODALITIES, "intercept"} | ({"interactions"} if interactions else set())
    score = model.decision_function(data)
    np.testing.assert_allclose(sum(parts.values()) + 0 * score, score, atol=1e-5)
    np.testing.assert_array_equal(parts["ct"][5], 0)
    assert abs(parts["ct"]).max() > 0


@pytest.mark.parametrize("fusion", ["stack", "late"])
@pytest.mark.parametrize("classes", [2, 3])
def test_contributions_of_features_sum_to_the_score_and_to_those_of_modalities(fusion, classes):
    data, y = cohort(classes)
    model = MultimodalClassifier(MODALITIES, fusion=fusion).fit(data, y)
    parts, features = contributions(model, data), feature_contributions(model, data)
    score = model.decision_function(data)
    intercept = features.pop("intercept")
    total = sum(own.sum(axis=-1) for own in features.values()) + intercept
    np.testing.assert_allclose(total, score, atol=1e-5)
    for name, own in features.items():
        rest = parts[name] - own.sum(axis=-1)
        if fusion == "stack":
            np.testing.assert_allclose(rest, 0, atol=1e-6)
        else:  # the intercept of the modality's own model, by how many modalities there are
            assert np.ptp(rest[np.arange(48) % 7 != 5], axis=0).max() < 1e-5
    assert features["case"].shape[-1] == len(model.extract(data)["case"].values.texts) + 2
    np.testing.assert_array_equal(features["ct"][5], 0)


def test_contributions_to_numbers_are_in_their_unit():
    data, y = cohort()
    months = 40.0 + 25.0 * y + np.arange(48) % 5
    for solver, fusion in (("ridge", "stack"), ("ridge", "late"), ("lssvm", "kernel")):
        model = MultimodalRegressor(MODALITIES, solver=solver, fusion=fusion).fit(data, months)
        found = model.predict(data)
        for parts in (contributions(model, data), model.contributions(data)):
            np.testing.assert_allclose(sum(parts.values()), found, atol=1e-4)
        if solver == "ridge":
            features = feature_contributions(model, data)
            total = sum(v.sum(axis=-1) for n, v in features.items() if n != "intercept")
            np.testing.assert_allclose(total + features["intercept"], found, atol=1e-4)
        path = integrated_gradients(model, data)
        total = sum(own.sum(axis=-1) for own in path.parts.values()) + path.baseline + path.error
        np.testing.assert_allclose(total, found, atol=1e-6)
        assert abs(path.error).max() < 1e-4


KERNELS = [
    ("lssvm", "stack", False), ("svm", "stack", False), ("lssvm", "kernel", False),
    ("svm", "kernel", True), ("lssvm", "kernel", True), ("lssvm", "late", False),
]  # fmt: skip


@pytest.mark.parametrize(("solver", "fusion", "interactions"), KERNELS)
@pytest.mark.parametrize("classes", [2, 3])
def test_integrated_gradients_of_kernels_are_those_of_small_differences(
    solver, fusion, interactions, classes
):
    rng = np.random.default_rng(5)
    n = 30
    y = np.arange(n) % classes
    blocks = {
        "a": Block(rng.normal(size=(n, 2)).astype("float32") + y[:, None], np.arange(n) % 9 != 4),
        "b": Block(rng.normal(size=(n, 3)).astype("float32") - 0.5 * y[:, None], np.ones(n, bool)),
    }
    blocks["a"].values[~blocks["a"].present] = 0
    model = MultimodalClassifier(
        dict.fromkeys(blocks, ImageModality()), solver=solver, fusion=fusion,
        interactions=interactions, weights="tuned" if fusion == "late" else {"a": 2.0, "b": 1.0},
    ).fit(blocks, y)  # fmt: skip
    found = integrated_gradients(model, blocks)
    score = model.score_rows(blocks)
    total = sum(own.sum(axis=-1) for own in found.parts.values()) + found.baseline
    np.testing.assert_allclose(total + found.error, score, atol=1e-9)
    assert abs(found.error).max() < 1e-5
    # Another way: the score of raw features that move from their means, by differences.
    means = {
        name: own.values[own.present].mean(axis=0, dtype=float) for name, own in blocks.items()
    }

    def at(t, name, column, h):
        moved = {}
        for other, own in blocks.items():
            values = means[other] + t * (own.values - means[other])
            if other == name:
                values[:, column] += h
            moved[other] = Block(np.where(own.present[:, None], values, 0), own.present)
        return model.score_rows(moved)

    points, weights = np.polynomial.legendre.leggauss(24)
    for name, column in (("a", 1), ("b", 2)):
        h = 0.02
        slope = sum(
            w / 2 * (at((p + 1) / 2, name, column, h) - at((p + 1) / 2, name, column, -h)) / (2 * h)
            for p, w in zip(points, weights, strict=True)
        )
        away = blocks[name].values[:, column] - means[name][column]
        expected = (slope.T * np.where(blocks[name].present, away, 0)).T
        np.testing.assert_allclose(found.parts[name][..., column], expected, atol=3e-3)


def test_maps_of_pixels_and_patches_keep_the_sum():
    data, y = cohort()
    model = MultimodalClassifier(MODALITIES).fit(data, y)
    features = feature_contributions(model, data)
    ct = contribution_map(MODALITIES["ct"], features["ct"][0])
    assert ct.shape == (1, 16, 16)
    assert ct.sum() == pytest.approx(features["ct"][0].sum(), abs=1e-9)
    # One patch alone: its two features are the first of each half.
    alone = np.zeros(18)
    alone[[4, 13]] = 1.0, 2.0
    expected = np.zeros((16, 16))
    expected[4:12, 4:12] = 3 / 64
    np.testing.assert_allclose(contribution_map(MODALITIES["ct"], alone)[0], expected)
    px = contribution_map(MODALITIES["px"], features["px"][0])
    assert px.shape == (3, 6, 5)
    assert px.sum() == pytest.approx(features["px"][0].sum(), abs=1e-9)
    # Of a linear model a pixel's part is what changing it changes, times its distance.
    moved = [each.copy() for each in data["px"]]
    moved[0][1, 2, 3] += 1.0
    change = model.decision_function({**data, "px": moved}) - model.decision_function(data)
    other = contribution_map(
        MODALITIES["px"], feature_contributions(model, {**data, "px": moved})["px"][0]
    )
    assert other[1, 2, 3] - px[1, 2, 3] == pytest.approx(change[0], abs=1e-6)


@pytest.mark.parametrize("pool", ["mean", "max", "stack", "rows"])
@pytest.mark.parametrize("solver", ["ridge", "lssvm"])
def test_contributions_of_slices_sum_to_those_of_the_examination(pool, solver):
    rng = np.random.default_rng(8)
    y = np.arange(24) % 2
    scans = [(rng.normal(size=(3, 16, 16)) + 0.3 * i).astype("float32") for i in y]
    for own, ill in zip(scans, y, strict=True):
        own[1, 2:8, 2:8] += 2.0 * ill
    modality = ImageModality(shape=(16, 16), patch_size=(8, 8), step=4, pool=pool)
    model = MultimodalClassifier({"ct": modality}, solver=solver).fit({"ct": scans}, y)
    blocks, owner = spread_slices(model.extract({"ct": scans}))
    found = slopes_of(model, blocks, 32)
    whole = integrated_gradients(model, {"ct": scans}).parts["ct"]
    for i in (0, 5):
        rows = [i] if owner is None else np.flatnonzero(owner == i)
        own = slice_contributions(
            modality, found.slopes["ct"][rows, 0], found.scalers["ct"], scans[i]
        )
        assert own.shape == (3, 18)
        by_feature = own.ravel() if pool == "stack" else own.sum(axis=0)
        np.testing.assert_allclose(by_feature, whole[i], atol=1e-6)
        maps = contribution_map(modality, own)
        assert maps.shape == (3, 16, 16)
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), own.sum(axis=1), atol=1e-9)


def test_overlay_is_red_where_it_speaks_for_the_class_and_grey_where_nothing_does(tmp_path):
    image = np.tile(np.linspace(0, 1, 8), (8, 1))
    contribution = np.zeros((8, 8))
    contribution[2, 2], contribution[5, 5] = 1.0, -1.0
    draw_overlay(image, contribution, 1.0, tmp_path / "o.png", caption=["Row 0, ct."])
    pixels = np.asarray(Image.open(tmp_path / "o.png")).astype(int)
    side, gap = 384, 12
    plain, drawn = pixels[gap : gap + side, gap : gap + side], None
    drawn = pixels[gap : gap + side, 2 * gap + side : 2 * (gap + side)]
    assert np.ptp(plain, axis=2).max() == 0
    half = side // 16
    assert drawn[5 * half, 5 * half, 0] > drawn[5 * half, 5 * half, 2] + 50
    assert drawn[11 * half, 11 * half, 2] > drawn[11 * half, 11 * half, 0] + 50
    np.testing.assert_array_equal(drawn[-40:], plain[-40:])  # nothing is added there
    bar = pixels[gap : gap + side, 3 * gap + 2 * side + 9]
    assert bar[5, 0] > bar[5, 2] + 50
    assert bar[-5, 2] > bar[-5, 0] + 50
    assert np.ptp(bar[side // 2]) < 8  # zero is neutral
    assert (pixels[gap + side + gap :] < 100).any()  # the caption


def test_bars_point_to_the_side_of_their_sign(tmp_path):
    image = np.full((9, 9), np.nan)
    image[2:6, 3:7] = np.arange(16).reshape(4, 4)
    draw_bars(image, ["mean", "volume (ml)"], [0.5, -1.0], 1.0, tmp_path / "b.png")
    pixels = np.asarray(Image.open(tmp_path / "b.png")).astype(int)
    right = pixels[:, 384 + 24 :]
    red = (right[..., 0] > right[..., 2] + 80).any(axis=1)
    blue = (right[..., 2] > right[..., 0] + 80).any(axis=1)
    assert np.flatnonzero(red).max() < np.flatnonzero(blue).min()
    columns = [np.flatnonzero((right[..., i] > right[..., 2 - i] + 80).any(axis=0)) for i in (0, 2)]
    assert columns[1].max() <= columns[0].min()
    assert columns[1].size == pytest.approx(2 * columns[0].size, abs=3)
