"""Images that cannot be read are named by their rows, all of them at once."""

import numpy as np
import pytest
from PIL import Image

from fastmm import ImageModality
from fastmm.errors import CohortError, PictureError
from fastmm.findings.unreadable import naming_rows


@pytest.fixture
def scans(tmp_path):
    """Folders of patients whose pictures all have one name; rows 1 and 3 are broken."""
    paths = []
    for row in range(5):
        folder = tmp_path / f"patient {row}"
        folder.mkdir()
        Image.fromarray(np.full((8, 8), row, np.uint8)).save(folder / "slice.png")
        if row in (1, 3):
            (folder / "slice.png").write_bytes((folder / "slice.png").read_bytes()[:40])
        paths.append(folder / "slice.png")
    paths.append(None)
    return paths


def test_all_rows_that_fail_are_told(scans):
    modality = ImageModality((8, 8), features="pixels")
    with (
        pytest.raises(PictureError, match=r"column 'ct': 2 of 6 rows cannot be read") as told,
        naming_rows("ct", modality, scans, "cpu"),
    ):
        modality.load(scans)
    lines = str(told.value).splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == ["row 1", "row 3"]


def test_many_are_counted(scans):
    modality = ImageModality((8, 8), features="pixels")
    with pytest.raises(PictureError) as told, naming_rows("ct", modality, scans * 8, "cpu"):
        modality.load(scans * 8)
    assert len(str(told.value).splitlines()) == 12
    assert str(told.value).endswith("and 6 more")


def test_what_no_row_has_alone_stays_what_it_was(scans):
    modality = ImageModality((8, 8), features="pixels")
    good = [scans[0], scans[2]]
    with (
        pytest.raises(CohortError, match="one unit"),
        naming_rows("ct", modality, good, "cpu"),
    ):
        raise CohortError("The images of a modality must have one unit, found HU, a.u.")


@pytest.mark.parametrize("limit", [None, 1 << 30])
def test_training_names_the_rows(scans, limit):
    from types import SimpleNamespace

    from fastmm.findings.features import extract_blocks
    from fastmm.stopwatch import Stopwatch

    modality = ImageModality((8, 8), features="pixels")
    cohort = SimpleNamespace(scans=lambda _: scans, tables={})
    args = (cohort, {"ct": modality}, "cpu", Stopwatch(), lambda _: lambda *_: None, 2)
    with pytest.raises(PictureError, match=r"(?s)column 'ct': 2 of 6 rows.*row 1: .*row 3: "):
        extract_blocks(*args, limit=limit)
