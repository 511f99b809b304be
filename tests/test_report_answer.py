"""What the page answers: the score that leads, its interval, its paired test."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_pages import experiment, read

from fastmm.reporting import write_report


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
