"""Columns may have any name: commas, equals signs, brackets."""

import pytest

from fastmm.cohort import read_cohort
from fastmm.cohorts.tables import TableSource
from fastmm.commands.columns import read_windows
from fastmm.errors import CohortError

HEADER = '"Pat. ID","IDH1 (mut=1)","Age, years",Sex\n'


def test_columns_with_commas_stand_in_quotes(tmp_path):
    file = tmp_path / "cohort.csv"
    file.write_text(HEADER + "a,0,50,f\nb,1,60,m\nc,0,70,f\nd,1,55,f\n", encoding="utf-8")
    source = TableSource.parse('"Age, years", Sex')
    assert source.columns == ("Age, years", "Sex")
    found = read_cohort(file, label="IDH1 (mut=1)", group="Pat. ID", tables={"t": source})
    assert found.tables["t"]["Age, years"] == ["50", "60", "70", "55"]
    with pytest.raises(CohortError, match=r'lacks .* Age, years; it has .*, "Age, years", Sex\.'):
        read_cohort(file, tables={"t": TableSource.parse("Age, years")})


def test_a_window_of_a_column_with_an_equals_sign():
    assert read_windows(["MR (TE=80)=400,800"]) == {"MR (TE=80)": (400.0, 800.0)}
