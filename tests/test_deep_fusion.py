"""The network as a solver of the multimodal classifier."""

import numpy as np
import pytest

from fastmm import ImageModality, MultimodalClassifier, TableModality, load_model, save_model
from fastmm.explanation import contributions, integrated_gradients
from fastmm.novelty import leverage

pytest.importorskip("torch", reason="the network needs PyTorch")
pytest.importorskip("fastmm.deep.classifier", reason="this build has no network")


def test_a_network_learns_from_images_and_tables_with_missing_ones(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    images = [rng.normal(size=(2, 8, 8)).astype("float32") for _ in y]
    for own, ill in zip(images, y, strict=True):
        own[:, 2:6, 2:6] += 2.5 * ill
    data = {
        "ct": [None if i == 4 else own for i, own in enumerate(images)],
        "case": {"age": [str(50 + i % 7) for i in range(24)], "sex": ["f", "m", "m"] * 8},
    }
    modalities = {"ct": ImageModality(shape=(8, 8), features="pixels"), "case": TableModality()}
    model = MultimodalClassifier(modalities, solver="deep")
    model.fit(data, y, groups=np.arange(24) // 2)
    score = model.decision_function(data)
    assert ((score > 0) == y).mean() > 0.85
    assert ((model.cv_decision_ > 0) == y).mean() > 0.6
    np.testing.assert_allclose(model.predict_proba(data).sum(axis=1), 1)
    assert np.isnan(leverage(model, data)).all()
    with pytest.raises(ValueError, match='another `solver` than "deep"'):
        contributions(model, data)
    path = integrated_gradients(model, data)
    parts = sum(own.sum(axis=-1) for own in path.parts.values())
    np.testing.assert_allclose(parts + path.baseline + path.error, score, atol=1e-4)
    assert abs(path.error).max() < 0.05 * np.ptp(score)  # it has kinks
    np.testing.assert_array_equal(path.parts["ct"][4], 0)
    lesion = path.parts["ct"].reshape(24, 8, 8)[y == 1]
    assert abs(lesion[:, 2:6, 2:6]).mean() > 2 * abs(lesion[:, [0, 1, 6, 7]]).mean()
    loaded = load_model(save_model(model, tmp_path / "m.fastmm"))
    np.testing.assert_allclose(loaded.decision_function(data), score)
    with pytest.raises(ValueError, match='leave `fusion` at "stack"'):
        MultimodalClassifier(modalities, solver="deep", fusion="late").fit(data, y)
