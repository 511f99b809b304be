"""What gives away the label is told, and nothing else is."""

import numpy as np
import pytest

from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource


def cohort_notes(folder, columns, labels=None, **options):
    """Read a cohort of 20 patients with some columns; return its notes."""
    labels = np.arange(20) % 2 if labels is None else labels
    lines = [",".join(["patient", "ill", *columns])]
    for i in range(20):
        lines.append(",".join([f"p{i}", str(labels[i]), *(str(c[i]) for c in columns.values())]))
    file = folder / "cohort.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    tables = {"case": TableSource(tuple(columns))} if not options else {}
    return read_cohort(file, label="ill", group="patient", tables=tables, **options).notes


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["no", "YES"] * 10, "alone tells"),
        (["yes", "no", "yes ", "NO"] * 5, "alone tells"),  # case and blanks are no values
        (["I", "II", "I", "III"] * 5, "alone tells"),
        (["1.5", ""] + ["2.5", "NA"] + [v for i in range(9) for v in (i, "")], "is blank tells"),
        (["no", "yes"] * 9 + ["yes", "yes"], None),
        (list(range(20)), None),  # numbers that differ tell any label
        (["x"] * 20, None),
    ],
)
def test_a_column_that_repeats_the_label_is_told(tmp_path, cells, said):
    columns = {"test": cells, "age": range(20, 40)}
    notes = [note for note in cohort_notes(tmp_path, columns) if "tells the label" in note]
    assert len(notes) == (said is not None)
    assert all(said in note and "'test'" in note for note in notes)


def test_few_rows_prove_nothing(tmp_path):
    file = tmp_path / "cohort.csv"
    file.write_text("patient,ill,t\na,0,n\nb,1,y\nc,0,n\nd,1,y\n", encoding="utf-8")
    found = read_cohort(file, label="ill", group="patient", tables={"t": TableSource(("t",))})
    assert found.notes == []


def test_a_scan_of_two_patients_is_told_and_one_of_several_rows_is_not(tmp_path):
    for i in range(20):
        (tmp_path / f"{i}.png").touch()
    own = [f"{i}.png" for i in range(20)]
    assert cohort_notes(tmp_path, {"ct": own}, images=["ct"]) == []
    (note,) = cohort_notes(tmp_path, {"ct": [*own[:18], "0.png", "0.png"]}, images=["ct"])
    assert note.startswith("column 'ct' names 1 file(s) or folder(s) for more than one patient")
    assert "p0" not in note
