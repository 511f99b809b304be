"""Reading a cohort: what is right is read, what is wrong is listed together."""

import numpy as np
import pytest
from cohort_files import write_good, write_into

from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.errors import CohortError


@pytest.fixture
def write(tmp_path):
    return write_into(tmp_path)


@pytest.fixture
def good(tmp_path):
    return write_good(tmp_path)


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


def test_two_patients_with_both_classes_are_too_few(write):
    file = write("patient,ill,age\na,0,1\na,1,2\nb,0,3\nb,1,4\n")
    with pytest.raises(CohortError, match="at least 3 patients are needed to validate, got 2"):
        read_cohort(file, label="ill", group="patient", tables={"t": TableSource(("age",))})


def test_without_a_patient_column_the_notes_warn(good):
    cohort = read_cohort(good, label="ill", tables={"t": TableSource(("age", "ct"))})
    assert not cohort.grouped
    assert any("no patient column was named" in note for note in cohort.notes)


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
