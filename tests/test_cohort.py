"""Reading a cohort: what is right is read, what is wrong is listed together."""

from pathlib import Path

import numpy as np
import pytest

from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.errors import CohortError
from fastmm.read.table import read_rows


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "cohort.csv") -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write


GOOD = """\
patient,ill,ct,age
001,no,a,50
001,no,b,51
002,yes,,70
003,no,a,
04,yes,b,60
05,yes,a,62
"""


@pytest.fixture
def good(write, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    return write(GOOD)


def test_reads_rows_groups_and_missing(good, tmp_path):
    cohort = read_cohort(
        good, label="ill", group="patient", images=["ct"], tables={"t": TableSource(("age", "ct"))}
    )
    assert (cohort.count, cohort.patients, cohort.grouped) == (6, 5, True)
    assert cohort.groups.tolist() == ["001", "001", "002", "003", "04", "05"]
    assert cohort.y.tolist() == ["no", "no", "yes", "no", "yes", "yes"]
    assert cohort.images["ct"] == [
        tmp_path / p if p else None for p in ("a", "b", "", "a", "b", "a")
    ]
    assert cohort.tables["t"]["age"] == ["50", "51", "70", "", "60", "62"]
    assert cohort.notes[0] == "t: 2 blank cells; numbers become the median and are marked"
    assert "names 2 file(s) or folder(s) for more than one patient" in cohort.notes[1]


def test_byte_order_mark_and_tabs(write):
    file = write("\ufeffpatient\till\na\t0\nb\t1\nc\t0\nd\t1\n", "c.tsv")
    assert read_cohort(file, label="ill", group="patient").y.tolist() == [0, 1, 0, 1]


def test_all_mistakes_are_listed_at_once(write):
    file = write("patient,ill,ct\n,0,gone\nb,,\nc,1,also-gone\nc,1,also-gone\n")
    with pytest.raises(CohortError) as caught:
        read_cohort(file, label="ill", group="patient", images=["ct"])
    message = str(caught.value)
    for part in (
        "must name a patient in each row; 1 row(s) (0, counted from 0) blank",
        "label 'ill' must be given in each row; 1 row(s) (1, counted from 0) blank",
        "column 'ct' must name files or folders",
        "3 row(s) (0, 2, 3, counted from 0) not found",
        "1 row(s) occur more than once",
        "1 row(s) (1, counted from 0) none",
        "class(es) 0, 1 must have at least 2 patients",
    ):
        assert part in message


def test_message_holds_no_identifier(write):
    file = write("patient,ill,ct\nMUELLER,0,MUELLER/ct\nMAYER,1,MAYER/ct\n")
    with pytest.raises(CohortError) as caught:
        read_cohort(file, label="ill", group="patient", images=["ct"])
    assert "MUELLER" not in str(caught.value)
    assert "MAYER" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "header and at least one row"),
        ("a,b\n", "header and at least one row"),
        ("a,a\n1,2\n", "more than once"),
        ("a,b\n1,2\n1\n", "must have 2 cells in each row; 1 row"),
        ("a,b\n1,2\n", r"lacks the column\(s\) ill"),
        ("ill\n0\n0\n", "at least 2 classes, got 1"),
        ("ill\n" + "\n".join(str(i) for i in range(40)), "40 different numbers; say whether"),
        ("ill\n" + "\n".join(f"v{i}" for i in range(40)), "no class label"),
    ],
)
def test_broken_files(write, text, match):
    with pytest.raises(CohortError, match=match):
        read_cohort(write(text), label="ill")


def test_file_that_is_no_text(tmp_path):
    file = tmp_path / "c.csv"
    file.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(CohortError, match="no CSV text"):
        read_cohort(file)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_cohort(tmp_path / "none.csv")


def test_join_by_key(good, write):
    write("id,g1,g2\n003,7,8\n002,1,2\n001,3,4\n04,5,6\n099,5,5\n", "genes.csv")
    cohort = read_cohort(
        good, label="ill", group="patient", images=["ct"],
        tables={"genes": TableSource.parse("genes.csv:id")},
    )  # fmt: skip
    assert cohort.tables["genes"] == {
        "g1": ["3", "3", "1", "7", "5", ""],
        "g2": ["4", "4", "2", "8", "6", ""],
    }
    assert "genes: 1 cohort rows match nothing in genes.csv, so lack it" in cohort.notes
    assert "genes: 1 rows of genes.csv match no cohort row and are not used" in cohort.notes


ONE_TABLE = "patient,ill,x\n" + "".join(f"p{i},{i % 2},{{{i}}}\n" for i in range(10))


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        ([f"id{i}" for i in range(10)], "looks like an identifier"),
        (
            ["1", "2", ">5", *"4567890"],
            r"no number: 1 row\(s\) \(2",
        ),
        (["1_0", *"123456789"], "must hold numbers alone"),
        (['"1,000"', *"123456789"], "decimal or of thousands"),
        (['"1,000"', '"2,500"'] * 5, r"decimal or of thousands.* 10 row\(s\)"),
    ],
)
def test_columns_that_are_no_features(cells, match, write):
    file = write(ONE_TABLE.format(*cells))
    with pytest.raises(CohortError, match=match):
        read_cohort(file, label="ill", group="patient", tables={"t": TableSource(("x",))})


def test_infinities_and_decimal_commas_are_counted(write):
    file = write(ONE_TABLE.format(*['"1,5"', "inf", "-inf", *"1234567"]))
    cohort = read_cohort(file, label="ill", group="patient", tables={"t": TableSource(("x",))})
    assert cohort.notes == [
        "table 't', column 'x', 2 infinite cells became the nearest finite value",
        "table 't', column 'x', 1 decimal commas were read as points",
    ]


def test_label_and_patient_are_no_features(good, write):
    write("patient,ill\n001,0\n002,1\n003,0\n04,1\n05,1\n", "leak.csv")
    cases = {"age,ill": "the label", "patient": "the patient", "leak.csv:patient": "the label"}
    for text, what in cases.items():
        tables = {"t": TableSource.parse(text)}
        with pytest.raises(CohortError, match=f"must not hold {what}"):
            read_cohort(good, label="ill", group="patient", tables=tables)


def test_two_patients_with_both_classes_are_too_few(write):
    file = write("patient,ill,age\na,0,1\na,1,2\nb,0,3\nb,1,4\n")
    with pytest.raises(CohortError, match="at least 3 patients are needed to validate, got 2"):
        read_cohort(file, label="ill", group="patient", tables={"t": TableSource(("age",))})


def test_without_a_patient_column_the_notes_warn(good):
    cohort = read_cohort(good, label="ill", tables={"t": TableSource(("age", "ct"))})
    assert not cohort.grouped
    assert any("no patient column was named" in note for note in cohort.notes)


def test_joined_file_lies_beside_the_cohort_first(good, write, tmp_path, monkeypatch):
    write("patient,g\n001,1\n002,1\n003,1\n04,1\n05,1\n", "x.csv")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.csv").write_text("patient,g\n001,2\n002,2\n003,2\n04,2\n05,2\n")
    monkeypatch.chdir(elsewhere)
    cohort = read_cohort(
        good, label="ill", group="patient", tables={"x": TableSource.parse("x.csv:patient")}
    )
    assert set(cohort.tables["x"]["g"]) == {"1"}


@pytest.mark.parametrize("classes", [("1", "01"), ("1", "1.0"), ("Yes", "yes")])
def test_classes_that_differ_only_in_writing(classes, write):
    text = "ill,x\n" + "".join(f"{c},{i}\n" for i, c in enumerate([*classes, "2"] * 3))
    with pytest.raises(CohortError, match="differ only in how they are written"):
        read_cohort(write(text), label="ill", tables={"t": TableSource(("x",))})


def test_to_apply_a_model_a_modality_may_be_missing_for_all(write):
    file = write("patient,ct,age\na,,\nb,,50\n")
    tables = {"t": TableSource(("age", "patient"))}
    cohort = read_cohort(file, images=["ct"], tables=tables)
    assert cohort.images["ct"] == [None, None]


def test_join_refuses_a_key_twice(good, write):
    write("id,g\n001,1\n001,2\n", "genes.csv")
    with pytest.raises(CohortError, match="must have each key once; 1 key"):
        read_cohort(
            good, group="patient", images=["ct"],
            tables={"genes": TableSource.parse("genes.csv:id")},
        )  # fmt: skip


def test_table_source_syntax():
    assert TableSource.parse("age, sex") == TableSource(("age", "sex"))
    assert TableSource.parse("x/e.csv:key") == TableSource(file=Path("x/e.csv"), key="key")
    for wrong in ("", "e.csv:"):
        with pytest.raises(ValueError, match="`table` must"):
            TableSource.parse(wrong)


def test_real_cohorts(real_data):
    cohort = read_cohort(
        real_data / "sts" / "cohort.csv", label="lung_mets", group="patient",
        images=["ct", "pet", "mr_t1"], tables={"t": TableSource(("age", "sex", "grade"))},
    )  # fmt: skip
    assert (cohort.count, cohort.patients, int(np.sum(cohort.y))) == (34, 34, 13)
    cohort = read_cohort(
        real_data / "gbm_expression" / "cohort.csv", label="subtype", group="patient",
        tables={"expression": TableSource.parse("expression.csv:patient")},
    )  # fmt: skip
    assert len(cohort.tables["expression"]) == 840
    assert cohort.count == 173


def test_masks_are_found_by_column_or_by_path(good, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}_mask").mkdir()
    age = {"t": TableSource(("age", "ct"))}
    cohort = read_cohort(good, images=["ct"], tables=age, masks={"ct": "{ct}_mask"})
    assert cohort.masks["ct"][2] is None
    assert cohort.scans("ct")[0] == (tmp_path / "a", tmp_path / "a_mask")
    assert cohort.scans("ct")[2] is None
    assert read_cohort(good, images=["ct"], tables=age).scans("ct")[1] == tmp_path / "b"


def test_mistakes_of_masks_and_tables_are_listed_together(write, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    text = "p,ill,ct,seg\n1,0,a,\n2,1,b,gone\n3,0,a,b\n4,1,b,a\n"
    write("other,g\n8,1\n9,2\n", "genes.csv")
    with pytest.raises(CohortError) as caught:
        read_cohort(
            write(text), label="ill", group="p", images=["ct"], masks={"ct": "seg"},
            tables={
                "x": TableSource.parse("none.csv:p"), "g": TableSource.parse("genes.csv:other"),
            },
        )  # fmt: skip
    message = str(caught.value)
    for part in (
        "each 'ct' must have a mask, 'seg'; 1 row(s) (0, counted from 0) none",
        "column 'seg' must name files or folders",
        "1 row(s) (1, counted from 0) not found",
        "table 'x': there is no file none.csv",
        "no row of genes.csv matches the cohort by its key 'other'",
    ):
        assert part in message
    with pytest.raises(ValueError, match="`masks` names mr"):
        read_cohort(write(text), images=["ct"], masks={"mr": "seg"})


def test_a_table_is_joined_by_any_column_of_the_cohort(write):
    file = write("patient,visit,ill\na,v1,0\na,v2,0\nb,v3,1\nc,v4,0\nd,v5,1\n")
    write("visit,g\nv5,5\nv4,4\nv3,3\nv2,2\nv1,1\n", "genes.csv")
    cohort = read_cohort(
        file, label="ill", group="patient", tables={"g": TableSource.parse("genes.csv:visit")}
    )
    assert cohort.tables["g"] == {"g": ["1", "2", "3", "4", "5"]}
    no_group = {"g": TableSource.parse("genes.csv:patient")}
    with pytest.raises(CohortError, match="lacks the key column patient; it has"):
        read_cohort(file, label="ill", tables=no_group)


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    from pyarrow import parquet

    file = tmp_path / "c.parquet"
    columns = {
        "patient": ["007", "b", "c", "d"], "ill": [0, 1, 0, 1], "age": [50.5, None, 61.0, 70.0],
        "smokes": [True, False, None, True],
    }  # fmt: skip
    parquet.write_table(arrow.table(columns), file)
    tables = {"t": TableSource(("age", "smokes"))}
    cohort = read_cohort(file, label="ill", group="patient", tables=tables)
    assert cohort.groups.tolist() == ["007", "b", "c", "d"]
    assert cohort.y.tolist() == [0, 1, 0, 1]
    assert cohort.tables["t"] == {
        "age": ["50.5", "", "61.0", "70.0"],
        "smokes": ["1", "0", "", "1"],
    }
    file.write_bytes(b"no parquet")
    with pytest.raises(CohortError, match=r"c\.parquet is no Parquet file"):
        read_cohort(file)
    with pytest.raises(FileNotFoundError):
        read_cohort(tmp_path / "none.parquet")


def test_one_mistake_is_told_once(write):
    table = {"genes": TableSource.parse("genes.csv:p")}
    file = write("p,ill,x\na,0,1\nb,1,2\nc,,3\nd,1,4\n")
    with pytest.raises(CohortError) as caught:
        read_cohort(file, label="ill", tables={"t": TableSource(("x",))})
    assert "fewer" not in str(caught.value)
    (file.parent / "genes.csv").write_text("p,g\na,1\na,2\nb,3\n")
    file = write("p,ill,x\na,0,1\nb,1,2\nc,0,3\nd,1,4\n")
    with pytest.raises(CohortError, match="must have each key once; 1 key") as caught:
        read_cohort(file, label="ill", group="p", tables=table)
    assert "fewer" not in str(caught.value)


@pytest.mark.parametrize("ending", [".tsv", ".TSV"])
def test_tabs_part_the_cells_of_a_tsv_file_in_any_case_of_its_ending(ending, tmp_path):
    file = tmp_path / f"genes{ending}"
    file.write_text("patient\tdose\nA\t1,5\nB\t2\n", encoding="utf-8")
    assert read_rows(file) == {"patient": ["A", "B"], "dose": ["1,5", "2"]}
