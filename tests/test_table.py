"""The table encoder, against pandas and scikit-learn where they do the same."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer

from fastmm.features.table import TableEncoder, is_blank, parse_number, parse_table


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "null", "None", "?", None, np.nan])
def test_blanks_are_recognised(cell):
    assert is_blank(cell)


def test_what_tcga_writes_for_blanks_leaves_a_column_of_numbers():
    cells = ["80", "[Not Available]", "[Not Applicable]", "[Not Evaluated]", "[unknown]", "100"]
    parsed = parse_table({"karnofsky": cells, "state": ["[Completed]", *cells[1:5], "Open"]})
    np.testing.assert_array_equal(parsed.numbers["karnofsky"], [80, *[np.nan] * 4, 100])
    assert parsed.texts["state"].tolist() == ["[Completed]", "", "", "", "", "Open"]
    encoder = TableEncoder().fit(parsed)
    assert encoder.feature_names_ == [
        "karnofsky", "karnofsky: blank", "state = Open", "state = [Completed]",
    ]  # fmt: skip


def test_scores_of_glioblastoma_are_numbers(real_data):
    with (real_data / "gbm_expression" / "cohort.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("karnofsky_score", "death_days_to"):
        cells = [row[name] for row in rows]
        assert any(cell.startswith("[") for cell in cells)
        assert name in parse_table({name: cells}).numbers


@pytest.mark.parametrize("cell", ["0", "no", "-1", 0, "nana"])
def test_values_are_not_blank(cell):
    assert not is_blank(cell)


def test_numbers_are_filled_and_marked_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    values = rng.normal(50, 10, 40)
    values[[3, 17, 20]] = np.nan
    expected = SimpleImputer(strategy="median", add_indicator=True).fit_transform(values[:, None])
    texts = ["" if np.isnan(v) else repr(float(v)) for v in values]
    found = TableEncoder().fit({"age": texts}).transform({"age": texts})
    np.testing.assert_array_equal(found, expected)


def test_categories_become_columns_as_pandas_does():
    sex = ["f", "m", "", "f", "x"]
    expected = pd.get_dummies(pd.Series([s or None for s in sex])).to_numpy(float)
    np.testing.assert_array_equal(TableEncoder().fit({"s": sex}).transform({"s": sex}), expected)


def test_unseen_category_is_zero_even_where_the_new_column_looks_numeric():
    encoder = TableEncoder().fit({"grade": ["1", "2", "high"]})
    np.testing.assert_array_equal(
        encoder.transform({"grade": ["2", "3"]}), [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    )


def test_cells_with_a_category_that_fit_never_saw_are_counted():
    encoder = TableEncoder().fit({"sex": ["f", "m"], "site": ["a", "b"], "age": ["1", "2"]})
    new = {"sex": ["f", "x", "", "F"], "site": ["a"] * 4, "age": ["9"] * 4}
    assert encoder.unseen(parse_table(new)) == {"sex": 2}


def test_decimal_commas_and_detection_limits():
    encoder = TableEncoder().fit({"crp": ["1,5", "2.5", "inf", "-inf"]})
    found = encoder.transform({"crp": ["1,5", "inf", "-inf", "9"]})
    np.testing.assert_array_equal(found[:, 0], [1.5, 2.5, 1.5, 9.0])


def test_blank_without_blanks_in_training_takes_the_median():
    encoder = TableEncoder().fit({"age": ["1", "2", "9"]})
    np.testing.assert_array_equal(encoder.transform({"age": [""]}), [[2.0]])


def test_identifiers_are_refused():
    with pytest.raises(ValueError, match="looks like free text or an identifier"):
        TableEncoder().fit({"name": [f"p{i}x" for i in range(30)]})


def test_text_where_numbers_were_is_an_error():
    encoder = TableEncoder().fit({"age": ["1", "2"]})
    with pytest.raises(ValueError, match="held numbers when the model was fitted"):
        encoder.transform({"age": ["old", "2"]})


def test_absent_column_is_named():
    encoder = TableEncoder().fit({"age": ["1", "2"], "sex": ["f", "m"]})
    with pytest.raises(ValueError, match=r"lacks the column\(s\) sex"):
        encoder.transform({"age": ["1"]})


@pytest.mark.parametrize("cell", ["1,000", "1_000", "12,345,678", "0x10", "1e", "--1", ">5"])
def test_what_may_be_misread_is_no_number(cell):
    assert parse_number(cell) is None


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1,5", 1.5), ("0,125", 0.125), ("-1.5e3", -1500.0), (".5", 0.5), ("7.", 7.0)],
)
def test_numbers(cell, value):
    assert parse_number(cell) == value


def test_columns_of_unequal_length():
    with pytest.raises(ValueError, match="columns of one length"):
        parse_table({"a": ["1"], "b": ["1", "2"]})


def test_names_match_columns_and_state_is_json():
    table = {"sex": ["f", "m", "f"], "age": ["1", "", "3"], "pack": ["0", "1", "2"]}
    encoder = TableEncoder().fit(table)
    assert encoder.feature_names_ == ["age", "pack", "age: blank", "sex = f", "sex = m"]
    assert encoder.transform(table).shape == (3, 5)
    assert json.loads(json.dumps(encoder.state_)) == encoder.state_


def test_data_frame_and_parsed_subset_agree():
    frame = pd.DataFrame({"age": [50.0, np.nan, 70.0], "sex": ["f", "m", None]})
    columns = parse_table(frame)
    encoder = TableEncoder().fit(frame)
    rows = np.array([True, False, True])
    np.testing.assert_array_equal(
        encoder.transform(columns.take(rows)), encoder.transform(frame)[rows]
    )
