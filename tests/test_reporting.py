"""The report: strict JSON, and one page that stands alone whatever the names in it."""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastmm.report.curves import draw_roc
from fastmm.report.figures import draw_distributions
from fastmm.report.forests import draw_scores
from fastmm.report.theme import HUES, THEME, Look, assign_looks
from fastmm.reporting import write_report

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects what a page holds, and insists that every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.cells: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "th"}:
            self.cells.append(data)
        if "style" not in self.open:
            self.words.append(data)

    def values(self, *names: str) -> list[str]:
        return [value or "" for _, name, value in self.attributes if name in names]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def experiment() -> dict[str, Any]:
    """Everything a report can hold, its numbers all different."""
    rng = np.random.default_rng(5)
    label = np.arange(60) % 2
    scores = [
        {
            "model": model,
            "features": features,
            "auc": auc,
            "auc_low": auc - 0.0871,
            "auc_high": auc + 0.0533,
            "balanced_accuracy": auc - 0.0417,
            "n": 54 if features == "ct" else 60,
            "patients": 53 if features == "ct" else 59,
            "parameter": "alpha = 100",
        }
        for model, features, auc in [
            ("ridge", "ct", 0.8012),
            ("ridge", "table", 0.7023),
            ("ridge", "fused", 0.8534),
            ("lssvm", "ct", 0.8145),
            ("lssvm", "table", 0.6956),
            ("lssvm", "fused", 0.8467),
        ]
    ]
    rate = np.linspace(0, 1, 9)
    return {
        "title": "Phantom cohort",
        "synthetic": True,
        "created": "2026-11-22T17:00:00+02:00",
        "fastmm": "0.1.0",
        "command": "fastmm demo --output out",
        "cohort": {
            "rows": 60,
            "patients": 59,
            "label": "malignant",
            "classes": {"0": 30, "1": 30},
            "modalities": [
                {"name": "ct", "kind": "image", "present": 54, "missing": 6, "features": 24576},
                {"name": "table", "kind": "table", "present": 60, "missing": 0, "features": 5},
            ],
            "notes": ["7 blank cells filled with the column median"],
        },
        "validation": {
            "scheme": "leave one patient out",
            "detail": "exact",
            "bootstrap": 2000,
            "confidence": 0.95,
        },
        "scores": scores,
        "chosen": {"model": "ridge", "features": "fused"},
        "roc": [
            {"model": s["model"], "features": s["features"], "fpr": rate**2, "tpr": rate}
            for s in scores
        ],
        "predictions": {"label": label, "score": label + rng.normal(size=60)},
        "contributions": [{"name": "ct", "share": 1.043}, {"name": "table", "share": -0.043}],
        "stages": [
            {
                "stage": "read + resize",
                "seconds": 2.1,
                "images": 864,
                "images_per_s": 411.0,
                "mb": 113.2,
                "mb_per_s": 53.9,
            },
            {"stage": "train ridge", "seconds": np.float64(0.0412), "fits": 240},
        ],
        "settings": {"image": ["ct"], "shape": (64, 64), "alphas": {"low": 0.01}},
        "environment": {"python": "3.11.7", "cores": 2, "device": "cpu"},
    }


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def strict(path: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "made" / "here"
    pictures = {"ct": np.linspace(0, 1, 20 * 6 * 5).reshape(20, 6, 5), "dx": np.eye(300)}
    return write_report(experiment(), folder, pictures=pictures)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("plain")
    return read(write_report(experiment(), folder, pictures={"ct": np.eye(3)}))


def test_leaves_two_files_and_no_draft(whole: Path) -> None:
    assert whole.name == "report.html"
    assert sorted(p.name for p in whole.parent.iterdir()) == ["report.html", "report.json"]


def test_json_holds_the_results_as_they_are(whole: Path) -> None:
    given = experiment()
    written = strict(whole.with_name("report.json"))
    assert list(written) == list(given)
    assert written["scores"] == given["scores"]
    assert written["predictions"]["score"] == given["predictions"]["score"].tolist()
    assert written["predictions"]["label"] == given["predictions"]["label"].tolist()
    assert written["settings"] == {"image": ["ct"], "shape": [64, 64], "alphas": {"low": 0.01}}
    assert written["stages"][1]["seconds"] == 0.0412


@pytest.mark.parametrize("bad", [np.nan, np.float32("inf"), -np.inf, float("nan")])
def test_json_is_strict_whatever_is_not_finite(tmp_path: Path, bad: Any) -> None:
    given = experiment()
    given["scores"][0].update(auc=bad, auc_low=bad, auc_high=bad, balanced_accuracy=bad)
    given["roc"][1]["fpr"] = np.full(9, bad)
    given["predictions"]["score"][:3] = bad
    given["contributions"][0]["share"] = bad
    given["stages"][0].update(seconds=bad, mb_per_s=bad)
    page = read(write_report(given, tmp_path))
    written = strict(tmp_path / "report.json")
    assert written["scores"][0]["auc"] is None
    assert written["roc"][1]["fpr"] == [None] * 9
    assert written["predictions"]["score"][:4].count(None) == 3
    assert "3 rows without a score or a label left out" in page.text
    assert not re.search(r"\b(nan|inf|None|null)\b", page.text)


def test_results_are_not_written_to(tmp_path: Path) -> None:
    given = experiment()
    before = copy.deepcopy(given)
    write_report(given, tmp_path)
    assert repr(given) == repr(before)


def test_page_needs_nothing_from_outside(whole: Path) -> None:
    html = whole.read_text(encoding="utf-8")
    page = Page(html)
    links = page.values("src", "href", "xlink:href", "action", "srcset", "data", "poster")
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "script" not in page.tags
    assert not re.findall(r"https?:|@import|@font-face", html)
    assert all(u.startswith("#") for u in re.findall(r"url\(([^)]*)\)", html))
    policy = [v for v in page.values("content") if v.startswith("default-src")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_ids_are_unique_and_references_lead_somewhere(whole: Path) -> None:
    page = read(whole)
    ids = page.values("id")
    assert page.tags.count("svg") == 4
    assert len(ids) == len(set(ids)) > 100
    assert all(v[1:] in ids for v in page.values("href") if v.startswith("#"))
    assert all(v[5:-1] in ids for v in page.values("clip-path"))
    assert set(page.values("aria-labelledby")) <= set(ids)


def test_each_score_stands_in_the_table(whole: Path) -> None:
    page = read(whole)
    for row in experiment()["scores"]:
        place = page.cells.index(f"{row['auc']:.3f}")
        assert page.cells[place - 1 : place + 6] == [
            f"{row['model']} · {row['features']}",
            f"{row['auc']:.3f}",
            f"{row['auc_low']:.3f} to {row['auc_high']:.3f}",
            f"{row['balanced_accuracy']:.3f}",
            str(row["n"]),
            str(row["patients"]),
            row["parameter"],
        ]


def test_page_says_the_answer_and_what_it_is_not(whole: Path) -> None:
    text = read(whole).text
    for sentence in [
        "The fused features (ct, table) reached an AUC of 0.853 with ridge, "
        "95% interval 0.766 to 0.907.",
        "With the same model, the best single modality, ct, reached 0.801 (0.714 to 0.855), "
        "on 54 rows instead of 60. Whether the two differ was not tested.",
        "This is the highest of 6 scores.",
        "For research only; not a medical device.",
        "Synthetic data: these figures say nothing about patients.",
        "2026-11-22 15:00 UTC",
        "Intervals from 2,000 bootstrap resamples.",
        "864 images, 113 MB",
        "411 images/s, 53.9 MB/s",
        "41.2 ms",
        "24,576",
        "fastmm demo --output out",
        "alphas.low",
    ]:
        assert sentence in text.replace(" .", ".").replace(" ,", ",")


def test_figures_and_pictures_have_a_text_beside_them(whole: Path) -> None:
    page = read(whole)
    told = [v for tag, name, v in page.attributes if tag == "svg" and name == "aria-label"]
    assert len(told) == 4
    assert "ridge on fused 0.853" in str(told[0])
    assert page.tags.count("figcaption") == page.tags.count("figure") == 6
    assert all(page.values("alt"))
    assert page.tags.count("caption") == page.tags.count("table") == 3
    assert set(page.values("scope")) == {"row", "col"}
    assert page.values("scope").count("col") + page.values("scope").count("row") == page.tags.count(
        "th"
    )


def test_pictures_keep_their_grey_values(whole: Path) -> None:
    from PIL import Image

    page = read(whole)
    data = [s.split(",", 1)[1] for s in page.values("src")]
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(d)))) for d in data]
    assert len(pictures) == 8 + 1
    given = np.linspace(0, 1, 20 * 6 * 5).reshape(20, 6, 5)
    np.testing.assert_array_equal(pictures[0], np.rint(255 * given[0]))
    np.testing.assert_array_equal(pictures[7], np.rint(255 * given[19]))
    assert pictures[8].shape == (150, 150)
    assert "8 of 20" in page.text


def test_missing_pictures_are_left_out(tmp_path: Path) -> None:
    images = np.full((5, 4, 4), np.nan, np.float32)
    images[3] = 0.5
    page = read(write_report(experiment(), tmp_path, pictures={"ct": images, "mr": images[:3]}))
    assert len(page.values("src")) == 1
    assert "1 of 5" in page.text
    assert "0 of 3" in page.text


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onload='alert(1)",
        '</svg><style>*{display:none}</style> id="roc-1" href="#q" url(#z)',
        "{{ 7 * 7 }}{% raw %}",
        "cost $ and $\\frac{$",
        "肺 \N{MICRO SIGN}g/ml \N{FAMILY}",
        "line\nbreak\x00\x1b[0m and bytes \udcff",
        "x" * 300,
    ],
)
def test_names_from_outside_stay_names(tmp_path: Path, plain: Page, name: str) -> None:
    given = experiment()
    given.update(title=name, command=name, created=name, fastmm=name)
    for row in (*given["scores"], *given["roc"]):
        row["features"] = {"ct": name}.get(row["features"], row["features"])
        row["model"] = {"lssvm": name}.get(row["model"], row["model"])
    given["scores"][0]["parameter"] = name
    given["contributions"][0]["name"] = name
    given["cohort"]["modalities"][0].update(name=name, detail=name)
    given["cohort"].update(label=name, notes=[name], classes={name: 3})
    given["stages"][0]["stage"] = name
    given["settings"] = {name: name}
    given["environment"] = {name: [name]}
    given["validation"].update(scheme=name, detail=name)
    pictures = {name: np.eye(3)}
    page = read(write_report(given, tmp_path, pictures=pictures))
    kept = {"main", "style", "script", "img", "svg", "path", "text", "iframe"}
    assert {t for t in page.tags if t in kept} == {t for t in plain.tags if t in kept}
    for tag in ("img", "svg", "style", "text"):
        assert page.tags.count(tag) == plain.tags.count(tag)
    assert not [n for _, n, _ in page.attributes if n.startswith("on")]
    assert "49" not in page.cells
    shown = name.encode("utf-8", "backslashreplace").decode()
    assert shown.replace("\x00", "�") in [c.replace("\x00", "�") for c in page.cells]
    assert strict(tmp_path / "report.json")["title"] == shown
    ids = page.values("id")
    assert len(ids) == len(set(ids))


def test_least_results_make_a_page(tmp_path: Path) -> None:
    scores = [{"model": "ridge", "features": "ct", "auc": 0.5123}]
    page = read(write_report({"title": "Small", "scores": scores}, str(tmp_path)))
    assert "The ct features reached an AUC of 0.512 with ridge." in page.text.replace(" .", ".")
    assert "Synthetic" not in page.text
    assert page.tags.count("svg") == 1


def test_no_score_at_all_is_said(tmp_path: Path) -> None:
    for scores in ([], [{"model": "ridge", "features": "ct", "auc": None, "r2": 0.25}]):
        page = read(write_report({"title": "None", "scores": scores}, tmp_path))
        assert "No AUC was computed." in page.text
        assert "svg" not in page.tags
    assert page.cells[-2:] == ["ridge · ct", "0.250"]


def test_empty_and_absent_parts_are_alike(tmp_path: Path) -> None:
    given = experiment()
    parts = set(given) - {"title", "scores"}
    least = {k: given[k] for k in ("title", "scores")}
    first = write_report(least, tmp_path / "a").read_text(encoding="utf-8")
    for empty in (None, {}):
        path = write_report({**least, **dict.fromkeys(parts, empty)}, tmp_path / "b")
        assert path.read_text(encoding="utf-8") == first


def test_same_results_give_the_same_page(tmp_path: Path) -> None:
    pages = [write_report(experiment(), tmp_path / n).read_bytes() for n in "ab"]
    assert pages[0] == pages[1]


def test_interval_that_holds_guessing_is_said(tmp_path: Path) -> None:
    given = experiment()
    given["scores"][2].update(auc=0.58, auc_low=0.5)
    page = read(write_report(given, tmp_path))
    assert "The interval includes 0.5, which is guessing." in page.text
    assert "This is the highest" not in page.text


def test_interval_below_guessing_is_said(tmp_path: Path) -> None:
    given = experiment()
    given["scores"][2].update(auc=0.31, auc_low=0.2, auc_high=0.45)
    text = read(write_report(given, tmp_path)).text
    assert "The whole interval lies below 0.5" in text
    assert "includes 0.5" not in text


@pytest.mark.parametrize(
    ("difference", "pvalue", "said"),
    [
        (0.05, 0.2, "that fusing helps is not shown"),
        (0.05, 0.01, "fusing helped"),
        (-0.05, 0.01, "fusing did harm"),
        (0.05, None, "that fusing helps is not shown"),
    ],
)
def test_the_answer_follows_the_paired_test(
    tmp_path: Path, difference: float, pvalue: float | None, said: str
) -> None:
    given = experiment()
    given["scores"][2]["pvalue"] = 0.0009
    given["comparisons"] = [
        {
            "model": "ridge", "features": "fused", "against": name, "best": name == "ct",
            "auc": 0.85, "auc_against": 0.8, "difference": difference, "difference_low": -0.1,
            "difference_high": 0.1, "pvalue": pvalue, "method": "DeLong", "patients": 54,
        }
        for name in ("ct", "table")
    ]  # fmt: skip
    text = read(write_report(given, tmp_path)).text
    assert f"0.766 to 0.907, p = 0.001 against chance; {said}." in text
    assert "Against the best single modality, ct (0.800), the AUC of the same 54" in text
    assert "Whether the two differ was not tested" not in text
    assert text.count("flatters it") == 1


def test_almost_perfect_is_not_rounded_to_perfect(tmp_path: Path) -> None:
    scores = [{"model": "ridge", "features": "ct", "auc": 0.9996, "auc_low": 0.999}]
    page = read(write_report({"title": "t", "scores": scores}, tmp_path))
    assert "AUC of > 0.999" in page.text
    assert page.text.count("> 0.999") == 3  # headline, figure, table
    assert "1.000" not in page.text
    scores[0]["auc"] = 1.0
    assert "AUC of 1.000" in read(write_report({"title": "t", "scores": scores}, tmp_path)).text


def test_without_a_choice_the_highest_leads(tmp_path: Path) -> None:
    given = experiment()
    del given["chosen"]
    given["scores"][3]["auc"] = 0.9
    text = read(write_report(given, tmp_path)).text
    assert "The ct features reached an AUC of 0.900 with lssvm" in text
    assert "With the same model, the fused features reached 0.847" in text


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


def test_colors_are_variables_with_a_dark_twin(whole: Path) -> None:
    html = whole.read_text(encoding="utf-8")
    svg = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    outside = re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", svg)
    assert re.findall(r'(?:fill|stroke): (?!none)[^;"]+', outside) == []
    for name in set(re.findall(r"var\(--([a-z0-9-]+)", html)):
        assert len(re.findall(f"--{name}: #", html)) == 2


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


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_missing_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf'{library}.*pip install "fastmm\[app\]"'):
        write_report(experiment(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_failed_write_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report({"title": "Old", "scores": []}, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_: Any) -> None:
        raise PermissionError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PermissionError):
        write_report({"title": "New", "scores": []}, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_newer_report_replaces_the_older(tmp_path: Path) -> None:
    for title in ("Old", "New"):
        path = write_report({"title": title, "scores": []}, tmp_path)
    assert "New" in read(path).text
    assert "Old" not in read(path).text
    assert strict(tmp_path / "report.json")["title"] == "New"


@pytest.mark.parametrize(
    ("results", "error", "message"),
    [
        ([], TypeError, "`results` must be a mapping, got list"),
        ({"scores": []}, ValueError, "`results` must have 'title', a str"),
        ({"title": "t"}, ValueError, "`results` must have 'scores', a list"),
        ({"title": "t", "scores": [{"auc": 1.0}]}, ValueError, "'model' and 'features'"),
        ({"title": "t", "scores": [], "cohort": [1]}, ValueError, "'cohort'.* must be a mapping"),
        ({"title": "t", "scores": [], "stages": {"a": 1}}, ValueError, "'stages'.* a list of"),
        (
            {"title": "t", "scores": [], "roc": [{"fpr": [0, 1], "tpr": [0]}]},
            ValueError,
            "'fpr' and 'tpr' of the same length",
        ),
        (
            {"title": "t", "scores": [], "predictions": {"label": [0, 1], "score": 3}},
            ValueError,
            "'label' and 'score' of the same length",
        ),
        ({"title": "t", "scores": [], "settings": {"a": {1, 2}}}, TypeError, "settings"),
        ({"title": "t", "scores": [], "settings": {"a": 1j}}, TypeError, "complex"),
    ],
)
def test_wrong_results_are_refused(
    tmp_path: Path, results: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        write_report(results, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "images", [np.zeros(4), np.zeros((2, 2, 2, 2)), np.zeros((2, 0, 3)), np.zeros((2, 2), complex)]
)
def test_wrong_pictures_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"`pictures\['ct'\]` must be real images"):
        write_report({"title": "t", "scores": []}, tmp_path, pictures={"ct": images})


@pytest.mark.parametrize("below", ["", "sub", "sub/sub"])
def test_a_file_is_no_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`folder` must be a folder"):
        write_report({"title": "t", "scores": []}, tmp_path / "file" / below)
