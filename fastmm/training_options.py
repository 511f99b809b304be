"""What a training makes of its options: which a plan must make of them, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastmm.cohorts.tables import TableSource

__all__ = ["check_columns", "image_defaults", "name_tables"]

_SHAPE, _DEEP_SHAPE = (128, 128), (64, 64)  # a network pays for every pixel in every epoch
_OF_IMAGES = ("windows", "channels", "suv", "masks", "features")


def check_columns(options: Mapping[str, Any]) -> None:
    """Refuse options that contradict others, or name no image column.

    Parameters
    ----------
    options : mapping
        As `fastmm.jobs.training.train_job` takes them.

    Raises
    ------
    ValueError
        In the words of the command line.
    """
    images = options["images"]
    if not images and not options["tables"]:
        raise ValueError("Name at least one `--image` column or one `--table`.")
    if options.get("ids") and options.get("group") is None:
        raise ValueError("`--ids` writes the patient column; name it with `--group`.")
    for name in _OF_IMAGES:
        if unknown := sorted(set(options.get(name) or ()) - set(images)):
            option = f"--{name.removesuffix('s') if name != 'features' else name}"
            raise ValueError(
                f"`{option}` names {', '.join(unknown)}, which is no `--image` column."
            )
    if options.get("kind") == "regression" and options.get("by"):
        raise ValueError("`--by` tells of classes; leave it out with `--task regression`.")


def image_defaults(*, deep: bool, masked: bool) -> dict[str, Any]:
    """Return shape and features of an image modality for which no features were asked.

    Examples
    --------
    >>> image_defaults(deep=False, masked=True)
    {'shape': (128, 128), 'features': 'statistics'}
    """
    # A region has no place in common with others that patches could compare.
    usual = "pixels" if deep else "statistics" if masked else "patches"
    return {"shape": _DEEP_SHAPE if deep else _SHAPE, "features": usual}


def name_tables(texts: Sequence[str], taken: Sequence[str]) -> dict[str, TableSource]:
    """Name a joined table after its file and columns of the cohort "table".

    Examples
    --------
    >>> list(name_tables(["age,sex", "genes.csv:patient", "dose"], taken=["ct"]))
    ['table', 'genes', 'table 2']
    """
    sources: dict[str, TableSource] = {}
    for text in texts:
        source = TableSource.parse(text)
        base = source.file.stem if source.file else "table"
        name, number = base, 2
        while name in sources or name in taken:
            name, number = f"{base} {number}", number + 1
        sources[name] = source
    return sources
