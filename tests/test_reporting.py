"""The report: strict JSON, and one page that stands alone whatever the names in it."""

from __future__ import annotations

import base64
import copy
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_pages import Page, experiment, read, strict

from fastmm.reporting import write_report


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


def test_colors_are_variables_with_a_dark_twin(whole: Path) -> None:
    html = whole.read_text(encoding="utf-8")
    svg = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    outside = re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", svg)
    assert re.findall(r'(?:fill|stroke): (?!none)[^;"]+', outside) == []
    for name in set(re.findall(r"var\(--([a-z0-9-]+)", html)):
        assert len(re.findall(f"--{name}: #", html)) == 2
