"""The command ``predict`` with joined tables in files of other names."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from fastmm import cli
from fastmm.jobs.prediction import predict_job
from fastmm.jobs.training import train_job

COUNT = 24


def write(file, columns):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened, delimiter="\t" if file.suffix == ".tsv" else ",")
        writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    return file


def patients(first):
    return [f"p{first + i}" for i in range(COUNT)]


def exams(first):
    return [f"e{first + i}" for i in range(COUNT)]


def genes(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=COUNT).round(3).tolist() for name in ("g1", "g2")}


def cohort_of(first):
    ages = np.random.default_rng(first).integers(30, 80, COUNT).tolist()
    return {"patient": patients(first), "exam": exams(first), "age": ages}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the model of a cohort that joins one table by patient, and one by examination."""
    folder = tmp_path_factory.mktemp("trained")
    ill = (np.array(genes(1)["g1"]) > 0).astype(int).tolist()
    cohort = write(folder / "cohort.csv", cohort_of(0) | {"ill": ill})
    write(folder / "genes.csv", {"patient": patients(0)} | genes(1))
    write(folder / "lab=1.csv", {"exam": exams(0), "crp": genes(2)["g1"]})
    train_job(
        cohort, folder / "out", label="ill", group="patient", images=[],
        tables=["age", "genes.csv:patient", "lab=1.csv:exam"], title="Tables",
    )  # fmt: skip
    return folder / "out" / "model.fastmm"


@pytest.fixture
def new(tmp_path):
    """Return new patients, with the tables under the names of the training beside them."""
    folder = tmp_path / "new"
    write(folder / "genes.csv", {"patient": patients(100)} | genes(3))
    write(folder / "lab=1.csv", {"exam": exams(100), "crp": genes(4)["g1"]})
    return write(folder / "cohort.csv", cohort_of(100))


def scores(model, cohort, *tables, told=None):
    output = cohort.parent / "predicted.csv"
    predict_job(model, cohort, output, tables=tables, tell=[].append if told is None else told)
    with output.open(newline="") as opened:
        return [float(row["score"]) for row in csv.DictReader(opened)]


def renamed(file, name):
    return file.rename(file.with_name(name))


@pytest.mark.parametrize("name", ["new_genes.csv", "new_genes.tsv", "new genes.CSV"])
def test_a_table_in_a_file_of_another_name(model, new, name):
    usual = scores(model, new)
    write(new.with_name(name), {"patient": patients(100)} | genes(5))
    other = scores(model, new, f"genes={name}")
    assert np.abs(np.subtract(usual, other)).max() > 1e-3
    write(new.with_name("genes.csv"), {"patient": patients(100)} | genes(5))
    assert scores(model, new) == other


def test_a_table_in_parquet(model, new):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    usual = scores(model, new)
    table = pyarrow.table({"patient": patients(100)} | genes(3))
    parquet.write_table(table, new.with_name("genes.parquet"))
    new.with_name("genes.csv").unlink()
    assert scores(model, new, "genes=genes.parquet") == usual


def test_two_tables_and_a_name_with_the_sign(model, new):
    usual = scores(model, new)
    renamed(new.with_name("genes.csv"), "a.csv")
    renamed(new.with_name("lab=1.csv"), "b=2.csv")
    assert scores(model, new, "lab=1=b=2.csv", "genes=a.csv:patient") == usual


def test_a_key_of_another_name(model, new):
    usual = scores(model, new)
    values = genes(3)
    backwards = {name: column[::-1] for name, column in values.items()}
    # No column of the cohort: patients, as the training matched them.
    write(new.with_name("a.csv"), {"subject": patients(100)[::-1]} | backwards)
    assert scores(model, new, "genes=a.csv:subject") == usual
    # A column of the cohort: that one.
    write(new.with_name("b.csv"), {"exam": exams(100)} | values)
    assert scores(model, new, "genes=b.csv:exam") == usual


def test_a_key_never_turns_examinations_into_patients(model, new):
    values = genes(3)["g1"]
    write(new.with_name("a.csv"), {"study": patients(100), "crp": values})
    with pytest.raises(ValueError, match="'study'; the training matched 'exam', so give"):
        scores(model, new, "lab=1=a.csv:study")


def test_a_relative_path_is_beside_the_cohort_else_in_the_working_directory(
    model, new, tmp_path, monkeypatch
):
    usual = scores(model, new)
    away = tmp_path / "away"
    write(away / "a.csv", {"patient": patients(100)} | genes(3))
    monkeypatch.chdir(away)
    notes = []
    assert scores(model, new, "genes=a.csv", told=notes.append) == usual
    assert scores(model, new, f"genes={away / 'a.csv'}", told=notes.append) == usual
    assert not any("not beside" in note for note in notes)
    write(new.with_name("a.csv"), {"patient": patients(100)} | genes(5))
    assert scores(model, new, "genes=a.csv") != usual


def test_the_training_s_file_elsewhere_is_told_of(model, new, tmp_path, monkeypatch):
    notes = []
    scores(model, new, told=notes.append)
    assert not any("not beside" in note for note in notes)
    (tmp_path / "genes.csv").write_text(new.with_name("genes.csv").read_text())
    new.with_name("genes.csv").unlink()
    monkeypatch.chdir(tmp_path)
    scores(model, new, told=notes.append)
    assert [note for note in notes if "not beside" in note] == [
        f"genes: read from {tmp_path / 'genes.csv'}, which is not beside the cohort file"
    ]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (["gene=a.csv"], "names 'gene', which is no joined table; the model joins genes, lab=1."),
        (["table=a.csv"], "'table', which is columns of the cohort file itself, age; the model"),
        (["genes=no.csv"], "no file no.csv for the table 'genes', neither beside cohort.csv nor"),
        (["genes=."], "must be NAME=FILE.csv or NAME=FILE.csv:KEY, got 'genes=.'"),
        (["genes"], "must be NAME=FILE.csv or NAME=FILE.csv:KEY, got 'genes'"),
        (["genes.csv"], "must be NAME=FILE.csv or"),
        (["=genes.csv"], "must be NAME=FILE.csv or"),
        (["genes=a.txt:patient"], "must be NAME=FILE.csv or"),
        (["genes=genes.csv:"], "must name a key column after the colon, got 'genes=genes.csv:'"),
        (["genes=genes.csv", "genes=genes.csv"], "each table once, got 'genes' twice"),
        (["genes=genes.csv:id"], "genes.csv lacks the key column id; it has patient, g1, g2"),
        (["genes=lab=1.csv:exam"], "lacks the column(s) g1, g2"),
    ],
)
def test_what_is_refused(model, new, tables, message):
    options = [word for table in tables for word in ("--table", table)]
    output = new.parent / "out"
    done = CliRunner().invoke(
        cli.app, ["predict", str(model), str(new), "-o", str(output), *options]
    )
    assert isinstance(done.exception, (ValueError, FileNotFoundError))
    assert message in str(done.exception)
    assert not output.exists()


def test_the_option_on_the_command_line(model, new):
    usual = scores(model, new)
    renamed(new.with_name("genes.csv"), "a.csv")
    output = new.parent / "out"
    arguments = ["predict", str(model), str(new), "-o", str(output), "--table", "genes=a.csv"]
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    with (output / "predictions.csv").open(newline="") as opened:
        assert [float(row["score"]) for row in csv.DictReader(opened)] == usual


def test_a_missing_file_of_the_training_says_how_to_name_another(model, new):
    new.with_name("genes.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r'name it by `--table "genes=FILE\.csv"`'):
        scores(model, new)
    with pytest.raises(FileNotFoundError, match=r"No such file: .*absent\.csv"):
        scores(model, new.with_name("absent.csv"))


def test_a_table_that_is_read_is_not_written_over(model, new):
    file = renamed(new.with_name("genes.csv"), "a.csv")
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"must not be a file that is read, got a\.csv"):
        predict_job(model, new, file, tables=["genes=a.csv"])
    assert file.read_bytes() == before
