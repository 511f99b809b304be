"""Multimodal models of features on disk, within a memory limit: those of features in memory."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from disk_sources import least, near, peak
from PIL import Image

from fastmm import ImageModality, MultimodalClassifier, MultimodalRegressor, TableModality, plan
from fastmm.blocks import Block, BlockFile, spread_slices
from fastmm.explain.similarity import similar_cases
from fastmm.explanation import contributions, feature_contributions, integrated_gradients
from fastmm.fusion import multimodal_base, row_parts
from fastmm.fusion.novelty import leverage
from fastmm.planning.machines import STATED_NODE
from fastmm.streams.limits import say_bytes

MODALITIES = {"ct": ImageModality(), "mr": ImageModality(), "case": TableModality()}
MODELS = [
    ("stack", "ridge"), ("stack", "lssvm"), ("stack", "svm"),
    ("kernel", "lssvm"), ("late", "ridge"),
]  # fmt: skip


def cohort(n=90, widths=(20, 30), seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    found = {}
    for number, (name, width) in enumerate(zip(("ct", "mr"), widths, strict=True)):
        values = rng.normal(size=(n, width)).astype("f4") * 3 + 50
        values[:, :4] += y[:, None]
        here = rng.random(n) > 0.1 * number
        values[~here] = 0
        found[name] = Block(values, here)
    table = {"age": rng.normal(50, 9, n).tolist(), "sex": rng.choice(["f", "m", ""], n).tolist()}
    found["case"] = TableModality().extract(table)
    return found, y, np.arange(n) // 2


def stored(block, step=37):
    file = BlockFile()
    for start in range(0, len(block.present), step):
        file.append(block.take(np.arange(start, min(start + step, len(block.present)))))
    return file.block()


def on_disk(blocks):
    return {n: b if n == "case" else stored(b) for n, b in blocks.items()}


@pytest.fixture
def parted(monkeypatch):
    """Let no fit be in memory, and rows come in many parts."""
    monkeypatch.setattr(multimodal_base, "bytes_in_memory", lambda *_: np.inf)
    monkeypatch.setattr(row_parts, "_MOST", 1 << 15)


@pytest.mark.parametrize(("fusion", "solver"), MODELS)
def test_a_model_of_features_on_disk_is_that_of_features_in_memory(parted, fusion, solver):
    blocks, y, groups = cohort()
    files = on_disk(blocks)
    options = {"fusion": fusion, "solver": solver}
    one = MultimodalClassifier(MODALITIES, **options).fit(blocks, y, groups=groups)
    two = MultimodalClassifier(MODALITIES, memory_limit="300MB", **options)
    two.fit(files, y, groups=groups)
    assert len(two.parts(files)) > 1
    near(two.cv_decision_, one.cv_decision_, 1e-6)
    near(two.decision_function(files), one.decision_function(blocks), 2e-6)
    near(two.predict_proba(files), one.predict_proba(blocks), 2e-6)
    near(leverage(two, files), leverage(one, blocks), 1e-5)
    if solver in ("ridge", "linear") or fusion != "stack":
        found, expected = contributions(two, files), contributions(one, blocks)
        assert list(found) == list(expected)
        for name, part in expected.items():
            near(found[name], part, 1e-5)
    found, expected = integrated_gradients(two, files), integrated_gradients(one, blocks)
    for name, part in expected.parts.items():
        near(found.parts[name], part, 1e-4)


def test_a_regressor_of_features_on_disk_is_that_of_features_in_memory(parted):
    blocks, y, groups = cohort()
    y = y + np.random.default_rng(3).normal(size=len(y))
    one = MultimodalRegressor(MODALITIES).fit(blocks, y, groups=groups)
    two = MultimodalRegressor(MODALITIES, memory_limit="300MB")
    two.fit(on_disk(blocks), y, groups=groups)
    near(two.cv_predictions_, one.cv_predictions_, 1e-6)
    near(two.predict(on_disk(blocks)), one.predict(blocks), 1e-6)


def test_slices_that_are_rows_stay_on_disk(parted):
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 4, 40)
    counts[5] = 0
    values = rng.normal(size=(counts.sum(), 12)).astype("f4")
    blocks = {"ct": Block(values, counts > 0, counts), "mr": cohort(40)[0]["mr"].take(range(40))}
    blocks["mr"] = Block(blocks["mr"].values, np.ones(40, bool))
    files = {name: stored(block, 7) for name, block in blocks.items()}
    spread, owner = spread_slices(files)
    expected, again = spread_slices(blocks)
    assert np.array_equal(owner, again)
    for name, block in expected.items():
        assert spread[name].on_disk
        assert np.array_equal(spread[name].values[:], block.values)
    y = np.arange(40) % 2
    modalities = {"ct": ImageModality(pool="rows"), "mr": ImageModality()}
    one = MultimodalClassifier(modalities).fit(blocks, y)
    two = MultimodalClassifier(modalities, memory_limit="300MB").fit(files, y)
    near(two.decision_function(files), one.decision_function(blocks), 1e-6)
    near(feature_contributions(two, files)["ct"], feature_contributions(one, blocks)["ct"], 1e-5)


def test_a_fit_that_has_room_is_the_one_without_a_limit():
    blocks, y, groups = cohort()
    one = MultimodalClassifier(MODALITIES).fit(blocks, y, groups=groups)
    two = MultimodalClassifier(MODALITIES, memory_limit="1GB")
    two.fit(on_disk(blocks), y, groups=groups)
    assert np.array_equal(one.cv_decision_, two.cv_decision_)


def test_a_limit_without_room_is_refused_with_the_least_that_has():
    blocks, y, groups = cohort(300)

    def fit(limit, **options):
        model = MultimodalClassifier(MODALITIES, memory_limit=limit, **options)
        return model.fit(on_disk(blocks), y, groups=groups)

    assert hasattr(fit(least(fit)), "solver_")
    with pytest.raises(ValueError, match=r'at least .* with `fusion="stack"` rows go'):
        fit("1MB", fusion="kernel", solver="lssvm")
    with pytest.raises(ValueError, match="got 'much'"):
        fit("much")


def test_a_machine_without_room_takes_centres_and_says_so(monkeypatch):
    blocks, y, groups = cohort(700)
    files = on_disk(blocks)
    model = MultimodalClassifier(MODALITIES, solver="lssvm", memory_limit="8MB", weights="equal")
    monkeypatch.setattr("fastmm.fusion.training_rows.tuning_bytes", lambda *_: 0)
    monkeypatch.setattr("fastmm.fusion.training_rows.novelty_bytes", lambda *_: 0)
    with pytest.warns(UserWarning, match="approximated on few rows as centres"):
        model.fit(files, y, groups=groups)
    near_ones = similar_cases(model, files, 2)
    known = set(model.solver_.component_indices_.tolist())
    assert set(near_ones.rows.ravel().tolist()) <= known
    assert len(known) < 700


def test_arrays_of_a_fit_stay_within_the_limit():
    n, width, limit = 12_000, 60, 16_000_000
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    values = rng.normal(size=(n, width)).astype("f4")
    values[:, 0] += y
    files = {"ct": stored(Block(values, np.ones(n, bool)), 500)}
    modalities = {"ct": ImageModality()}
    model = MultimodalClassifier(modalities, memory_limit=limit)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr("fastmm.fusion.novelty.NOVEL_ROWS", 300)
        patch.setattr("fastmm.fusion.room.NOVEL_ROWS", 300)
        _, held = peak(lambda: model.fit(files, y, groups=np.arange(n) // 10))
        _, plain = peak(
            lambda: MultimodalClassifier(modalities).fit(files, y, groups=y + np.arange(n))
        )
    assert held < 1.3 * limit < plain, (say_bytes(held), say_bytes(plain))


def test_files_are_read_some_at_a_time_and_their_features_go_to_a_file(tmp_path):
    rng, paths = np.random.default_rng(0), []
    for i in range(12):
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (24, 24), np.uint8)).save(path)
        paths.append(None if i == 4 else path)
    y = np.arange(12) % 2
    modalities = {"ct": ImageModality(shape=(24, 24), features="pixels"), "case": TableModality()}
    data = {"ct": paths, "case": {"age": list(range(40, 52))}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = MultimodalClassifier(modalities).fit(data, y)
        two = MultimodalClassifier(modalities, memory_limit="20MB").fit(data, y)
    assert two.extract(data)["ct"].on_disk
    assert np.array_equal(two.extract(data)["ct"].values[:], one.extract(data)["ct"].values)
    assert np.array_equal(one.decision_function(data), two.decision_function(data))


def test_the_planner_knows_what_a_limit_bounds_and_what_not():
    def planned(limit, **options):
        found = plan(
            patients=100_000, slices=4, modalities=2, machine=STATED_NODE, device="cpu",
            memory_limit=limit, **options,
        )  # fmt: skip
        return found.outlooks[0]

    bounded = planned("500MB")
    assert bounded.fits
    assert bounded.needs.arrays <= 500e6 < planned(None).needs.arrays
    assert not planned("100MB").fits  # the search of weights
    assert planned("100MB", fusion="late").fits
    assert not planned("500MB", model="lssvm", fusion="kernel").fits
