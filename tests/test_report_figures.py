"""The figures of the report: bins, places, colours that differ, contrast, style restored."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from report_pages import experiment, read

from fastmm.report.curves import draw_roc
from fastmm.report.figures import draw_distributions
from fastmm.report.forests import draw_scores
from fastmm.report.theme import HUES, THEME, Look, assign_looks
from fastmm.reporting import write_report


def test_many_curves_are_cut_to_eight_and_said_so(tmp_path: Path) -> None:
    given = experiment()
    given["scores"] = [
        {"model": "ridge", "features": f"m{i}", "auc": 0.5 + i / 100} for i in range(20)
    ]
    given["roc"] = [{**s, "fpr": [0, 0.5, 1], "tpr": [0, 0.5, 1]} for s in given["scores"]]
    given["chosen"] = {"model": "ridge", "features": "m3"}
    page = read(write_report(given, tmp_path))
    told = [v for t, n, v in page.attributes if t == "svg" and n == "aria-label"][1]
    names = ["m3", *(f"m{i}" for i in range(19, 12, -1))]
    assert told == "ROC curves of " + ", ".join(f"ridge on {n}" for n in names) + "."
    assert "Shown are 8 of 20, by AUC." in page.text


def test_score_groups_are_the_histogram(tmp_path: Path) -> None:
    given = experiment()
    label, score = given["predictions"]["label"], given["predictions"]["score"]
    page = read(write_report(given, tmp_path))
    told = " ".join(v or "" for _, n, v in page.attributes if n == "aria-label")
    for value in (0, 1):
        median = f"{np.median(score[label == value]):.3g}"
        assert f"malignant = {value} (30 rows): median {median}" in told


@pytest.mark.parametrize(
    "group", [np.zeros(1), np.full(5, 1e16), np.array([1e-300, 0.0]), np.array([-1e300, 1e300])]
)
def test_histogram_of_awkward_scores(group: np.ndarray) -> None:
    svg = draw_distributions({"a": group, "b": np.empty(0)}, xlabel="score (no unit)")
    ET.fromstring(svg)


def test_forest_plot_places_points_by_value() -> None:
    rows = [{"model": "m", "features": f, "auc": a} for f, a in (("a", 0.6), ("b", 0.8))]
    svg = draw_scores(rows, looks=assign_looks("ab"))
    root = ET.fromstring(svg)
    words = {t.text: float(t.get("x", "nan")) for t in root.iter("text")}
    hues = [THEME[look.hues[0]][0] for look in assign_looks("ab").values()]
    marks = [u for u in root.iter("use") if any(h in u.get("style", "") for h in hues)]
    places = sorted(float(u.get("x", "nan")) for u in marks)
    np.testing.assert_allclose(places, [words["0.6"], words["0.8"]], atol=1e-3)


def study_of_six() -> list[str]:
    """Name what a study of six modalities validates: each, all, and the 15 pairs."""
    names = list("abcdef")
    return [*names, "fused", *(f"{a} + {b}" for i, a in enumerate(names) for b in names[i + 1 :])]


def test_no_two_sets_of_features_look_alike() -> None:
    looks = assign_looks(study_of_six())
    assert len(set(looks.values())) == 22
    assert looks["b + e"].hues == (*looks["b"].hues, *looks["e"].hues)
    many = assign_looks([str(i) for i in range(49)])
    assert len(set(many.values())) == 49


def test_a_pair_is_drawn_in_the_colours_of_both() -> None:
    names = ["a", "b", "c", "a + b", "a + c", "b + c", "fused"]
    curves = [{"model": "m", "features": f, "fpr": [0, 0.5, 1], "tpr": [0, 1, 1]} for f in names]
    looks = assign_looks(names)
    drawn = {}
    for one in curves:
        svg = draw_roc([one], looks=looks)
        drawn[one["features"]] = set(re.findall(r"stroke: var\(--(series-\d)", svg))
    assert drawn == {name: set(looks[name].hues) for name in names}
    assert len(set(map(frozenset, drawn.values()))) == len(names)


@pytest.mark.parametrize("shade", [0, 1], ids=["light", "dark"])
def test_colours_differ_for_the_colour_blind(shade: int) -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    # Machado, Oliveira and Fernandes 2009 (10.1109/TVCG.2009.113), severity 1, linear RGB.
    sights = {
        "normal": np.eye(3),
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                   [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
    }  # fmt: skip
    hexes = [THEME[hue][shade] for hue in HUES]
    rgb = np.array([[int(h[i : i + 2], 16) for i in (1, 3, 5)] for h in hexes]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for name, matrix in sights.items():
        seen = np.clip(linear @ np.transpose(matrix), 0, 1)
        lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))
        apart = deltaE_ciede2000(lab[:, None], lab[None])[np.triu_indices(len(hexes), 1)]
        assert apart.min() >= 11, (name, apart.min())


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("shade", [0, 1], ids=["light", "dark"])
def test_contrast_meets_wcag(shade: int) -> None:
    assert len({shades[0] for shades in THEME.values()}) == len(THEME)
    for name, shades in THEME.items():
        if name in {"paper", "panel", "line"}:
            continue
        drawn = name.startswith("series") and name != "series-1"
        for ground in ("paper",) if name.startswith("series") else ("paper", "panel"):
            both = sorted((luminance(shades[shade]), luminance(THEME[ground][shade])))
            ratio = (both[1] + 0.05) / (both[0] + 0.05)
            assert ratio >= (3.0 if drawn else 4.5), (name, ground, ratio)


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 31.0, "text.usetex": True, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        rows = [{"model": "m", "features": "f", "auc": 0.7}]
        svg = draw_scores(rows, looks={"f": Look(("series-2",))})
        assert dict(matplotlib.rcParams) == before
    assert svg == draw_scores(rows, looks={"f": Look(("series-2",))})


def test_threads_draw_the_same_and_restore_the_style() -> None:
    import matplotlib

    rows = [{"model": "m", "features": "f", "auc": 0.7}]
    looks = {"f": Look(("series-2",))}
    expected = draw_scores(rows, looks=looks)
    before, drawn = dict(matplotlib.rcParams), []
    threads = [
        threading.Thread(
            target=lambda: drawn.append(draw_scores(rows, looks={"f": Look(("series-2",))}))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [expected] * 4
    assert dict(matplotlib.rcParams) == before


def test_import_takes_neither_jinja_nor_matplotlib() -> None:
    code = (
        "import sys, fastmm.reporting; "
        "print(sorted({'jinja2', 'matplotlib', 'PIL', 'sklearn', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_drawing_never_loads_pyplot() -> None:
    code = (
        "import sys, fastmm.report.forests as f; from fastmm.report.theme import assign_looks; "
        "f.draw_scores([{'model': 'm', 'features': 'f', 'auc': 0.7}], looks=assign_looks('f')); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
