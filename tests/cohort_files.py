"""Small cohort files, and the folders their images would be in."""

from collections.abc import Callable
from pathlib import Path


def write_into(folder: Path) -> Callable[..., Path]:
    """Return what writes a text into the folder, as a cohort unless told its name."""

    def write(text: str, name: str = "cohort.csv") -> Path:
        file = folder / name
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


def write_good(folder: Path) -> Path:
    """Write a cohort without a mistake, and the folders of its images."""
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    return write_into(folder)(GOOD)
