"""Where a network's data comes from: DLPack, layouts, movements, features of other networks."""

from __future__ import annotations

import numpy as np
import pytest

import fastmm
from fastmm import DeepClassifier, MultimodalClassifier, TableModality, stack_features
from fastmm._space import Space, enter
from fastmm.blocks import Block
from fastmm.deep.tensors import as_array, as_tensor
from fastmm.validate.dealing import split_rows

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from fastmm.deep.augmentation import Augmentation, augment  # noqa: E402
from fastmm.deep.draws import hide_modalities, schedule, steps_of  # noqa: E402
from fastmm.deep.network import FusionNetwork, initialise  # noqa: E402

SMALL = {"width": 4, "n_features": 8, "batch_size": 16, "max_epochs": 3}
HOST = Space("cpu")


def data(dtype="float32", n=32):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    images = rng.integers(0, 60, (n, 10, 9)) + 100 * y[:, None, None] * (
        rng.random((n, 10, 9)) < 0.3
    )
    return images.astype(dtype), y


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i1", "i2", "i4", "i8", "?"])
def test_arrays_enter_torch_without_a_copy(dtype):
    for array in (np.zeros((4, 3, 5), dtype), np.zeros((5, 3, 8), dtype)[::2, :, ::3].T):
        assert as_tensor(array, HOST).data_ptr() == array.ctypes.data
        array.flags.writeable = False
        assert as_tensor(array, HOST).data_ptr() == array.ctypes.data


def test_tensors_enter_and_leave_without_a_copy():
    tensor = torch.zeros(4, 3)
    space, (native,), leave = enter(X=tensor)
    inside = as_tensor(native, space)
    assert inside.data_ptr() == tensor.data_ptr()
    assert leave(as_array(inside, space)).data_ptr() == tensor.data_ptr()


def test_what_torch_cannot_hold_is_copied():
    for dtype in ("u2", "u4"):
        array = np.arange(6, dtype=dtype).reshape(2, 3)
        np.testing.assert_array_equal(as_tensor(array, HOST).numpy(), array)
    array = np.arange(6.0)[::-1]
    np.testing.assert_array_equal(as_tensor(array, HOST).numpy(), array)


def test_any_layout_and_dtype_gives_the_same(tmp_path):
    images, y = data()
    model = DeepClassifier(**SMALL).fit(images, y)
    expected = model.decision_function(images)
    kept = images.copy()
    wide = np.zeros((32, 10, 18), "f4")
    wide[:, :, ::2] = images
    stored = np.memmap(tmp_path / "images", "f4", "w+", shape=images.shape)
    stored[:] = images
    frozen = images.copy()
    frozen.flags.writeable = False
    layouts = {
        "strided": wide[:, :, ::2],
        "fortran": np.asfortranarray(images),
        "negative": np.ascontiguousarray(images[::-1, :, ::-1])[::-1, :, ::-1],
        "mapped": stored,
        "read-only": frozen,
        "big-endian": images.astype(">f4"),
        **{dtype: images.astype(dtype) for dtype in ("f8", "u1", "i2", "u2", "i4", "i8", "f2")},
    }
    for name, array in layouts.items():
        again = DeepClassifier(**SMALL).fit(array, y)
        found = again.decision_function(array)
        assert found.dtype == (np.float64 if name in ("f8", "i4", "i8") else np.float32), name
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(
            model.decision_function(array), expected, atol=1e-5, err_msg=name
        )
    np.testing.assert_array_equal(images, kept)


def test_results_leave_as_what_came(xp_any):
    images, y = data()
    there = {"ct": xp_any.asarray(images), "case": xp_any.asarray(y[:, None].astype("f4"))}
    model = DeepClassifier(**SMALL).fit(there, xp_any.asarray(y))
    scores = xp_any.asnumpy(model.decision_function(there))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(xp_any.asnumpy(model.predict(there)), (scores > 0).astype(int))
    assert xp_any.asnumpy(model.predict_proba(there)).shape == (32, 2)
    assert xp_any.asnumpy(model.embed(there)).shape == (32, 16)


def test_tensors_leave_as_tensors():
    images, y = data()
    model = DeepClassifier(**SMALL).fit(torch.from_numpy(images), torch.from_numpy(y))
    for result in (model.predict, model.decision_function, model.predict_proba, model.embed):
        assert type(result(torch.from_numpy(images))) is torch.Tensor
    table = torch.from_numpy(images).mean(1)
    assert type(DeepClassifier(**SMALL).fit(table, y).predict(table)) is torch.Tensor
    with pytest.raises(TypeError, match="gradient"):
        model.predict(torch.from_numpy(images).requires_grad_())


def test_large_means_cost_no_digits():
    images, y = data("float64")
    plain = DeepClassifier(**SMALL).fit(images, y).decision_function(images)
    moved = (images + 1e4).astype("float32")
    found = DeepClassifier(**SMALL).fit(moved, y).decision_function(moved)
    np.testing.assert_allclose(found, plain, atol=1e-4)


def move(images, generator=None, **how):
    given = Augmentation(**{"shift": 0.0, "rotation": 0.0, "zoom": 0.0, "flip": False, **how})
    return augment(images, given, generator or torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(7, 9), (4, 7, 9)])
def test_movements(shape):
    images = torch.rand(64, 2, *shape, generator=torch.Generator().manual_seed(1))
    assert move(images) is images
    mirrored = move(images, flip=True)
    same = (mirrored - images).abs().flatten(1).amax(1) < 1e-5
    other = (mirrored - images.flip(-1)).abs().flatten(1).amax(1) < 1e-5
    assert (same ^ other).all()
    assert 16 < int(other.sum()) < 48
    constant = torch.ones_like(images)
    moved = move(constant, shift=0.3, rotation=20.0, zoom=0.2, flip=True)
    torch.testing.assert_close(moved, constant)
    assert (move(images, shift=0.2) - images).abs().amax() > 0.1


def test_a_rotation_turns_pixels_whatever_the_aspect():
    angle = torch.Generator().manual_seed(4)
    drawn = (torch.rand((1, 5), generator=torch.Generator().manual_seed(4)) * 2 - 1)[0, 1]
    ys, xs = np.mgrid[:40, :60]
    image = np.exp(-((ys - 19.5) ** 2 + (xs - 44.5) ** 2) / 20)  # 15 pixels right of the centre
    turned = move(torch.from_numpy(image).float()[None, None], angle, rotation=80.0)[0, 0].numpy()
    share = turned / turned.sum()
    centre = np.array([(share * (ys - 19.5)).sum(), (share * (xs - 29.5)).sum()])
    theta = np.radians(80.0) * float(drawn)
    assert abs(theta) > 0.1
    np.testing.assert_allclose(centre, [-15 * np.sin(theta), 15 * np.cos(theta)], atol=0.1)


def test_the_learning_rate_rises_and_falls_to_nothing():
    rates = [schedule(step, 200) for step in range(200)]
    assert np.argmax(rates) == 9
    assert rates[0] == pytest.approx(0.1)
    assert 0.99 < max(rates) <= 1
    assert rates[-1] < 1e-3
    assert np.all(np.diff(rates[9:]) < 0)


def test_small_cohorts_have_small_batches():
    sizes = {rows: -(-rows // steps_of(rows, 32)) for rows in (5, 60, 200, 320, 512, 5000)}
    assert sizes == {5: 5, 60: 8, 200: 12, 320: 20, 512: 32, 5000: 32}
    assert steps_of(5000, 4) == 1250


def test_hidden_modalities_leave_one():
    generator = torch.Generator().manual_seed(0)
    present = torch.rand((2000, 3), generator=generator) < 0.6
    present[:, 0] |= ~present.any(1)
    kept = hide_modalities(present, 0.5, generator)
    assert kept.any(1).all()
    assert not (kept & ~present).any()
    several = present.sum(1) == 3
    assert 0.5 < kept[several].float().mean() < 0.65  # a half, and rows that keep all


def test_splits_keep_groups_whole_and_classes_on_both_sides():
    codes = np.array([0] * 30 + [1] * 9 + [2] * 3)
    groups = np.arange(42) // 3
    train, watch = split_rows(codes, groups, 0.3, 0)
    assert set(codes[train]) == set(codes[watch]) == {0, 1} or not len(watch)
    assert not len(split_rows(codes, groups, 0.3, 0)[1]), "class 2 has one patient alone"
    train, watch = split_rows(np.minimum(codes, 1), groups, 0.3, 0)
    assert not set(groups[train]) & set(groups[watch])
    assert sorted([*train, *watch]) == list(range(42))
    assert len(watch) == 9 + 3
    other = split_rows(np.minimum(codes, 1), groups, 0.3, 1)[1]
    assert set(other) != set(watch)


KINDS = {"encoder": "residual", "table_encoder": "residual"}


@pytest.mark.parametrize(
    "shape", [(1, 28, 28), (1, 5, 5), (3, 130, 70), (1, 1, 20, 20), (2, 3, 8, 40)]
)
def test_encoders_take_any_shape(shape):
    network = FusionNetwork({"a": shape}, 2, **KINDS, width=4, n_features=6)
    initialise(network, torch.Generator().manual_seed(0))
    images, present = torch.rand(3, *shape), torch.ones((3, 1), dtype=torch.bool)
    logits = network({"a": images}, present)
    assert logits.shape == (3, 2)
    assert torch.isfinite(logits).all()
    alone = network({"a": images[1:2]}, present[:1])
    torch.testing.assert_close(alone[0], logits[1], atol=1e-5, rtol=1e-5)


def test_weights_begin_as_they_should():
    state = torch.random.get_rng_state()
    shapes = {"ct": (1, 24, 24), "case": (5,)}
    networks = [FusionNetwork(shapes, 3, **KINDS, width=8, n_features=16) for _ in range(2)]
    torch.random.set_rng_state(state)
    for network in networks:
        initialise(network, torch.Generator().manual_seed(3))
    for first, second in zip(*(n.parameters() for n in networks), strict=True):
        assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not networks[0].encoders[0].layers[3].body[-1].weight.any()
    assert networks[0].encoders[1].first.weight.std().item() == pytest.approx(
        (2 / 5) ** 0.5, rel=0.2
    )


def outside(images):
    """Compute the features of an encoder that is none of fastmm's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(2),
            torch.nn.Flatten(),
        ).eval()
    with torch.inference_mode():
        return encoder(images[:, None])


def test_features_of_an_outside_network_are_a_block():
    images, y = data(n=60)
    age = 50 + 10 * y + np.random.default_rng(1).normal(0, 10, 60)
    features = outside(torch.from_numpy(images))  # (60, 32)
    stacked = stack_features({"ct": features, "age": torch.from_numpy(age)[:, None]})
    assert type(stacked.X) is torch.Tensor
    assert stacked.slices == {"ct": slice(0, 32), "age": slice(32, 33)}
    model = fastmm.RidgeCV(alphas=[0.1, 1.0, 10.0]).fit(stacked.X.numpy(), 2.0 * y - 1)
    assert ((model.cv_predictions_ > 0) == y).mean() > 0.9

    present = np.arange(60) % 7 > 0  # some patients have no CT
    blocks = {"ct": Block(features.numpy(), present), "case": {"age": age}}
    fused = MultimodalClassifier({"ct": None, "case": TableModality()}).fit(blocks, y)
    assert fused.score(blocks, y) > 0.9


def test_features_of_a_trained_network_are_a_block():
    images, y = data(n=60)
    deep = DeepClassifier(**{**SMALL, "max_epochs": 10}).fit(images, y)
    model = fastmm.LSSVC(kernel="linear").fit(deep.embed(images), y)
    assert model.score(deep.embed(images), y) > 0.9
