"""How large a study is: rows, patients, slices, bytes and features."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ImageSize", "StudySize", "TableSize"]


@dataclass(frozen=True)
class ImageSize:
    """Images of one modality.

    Attributes
    ----------
    name : str
        Of the modality.
    examinations, slices, files : int
        How many there are; of a sample that was scaled up, rounded.
    file_bytes, pixel_bytes : int
        Size of the files, and of the pixels in them once decoded.
    shape : (height, width)
        To which slices are resized.
    features : {"patches", "pixels", "statistics"}
        What they become.
    patches : int
        Patches of a slice, and `patch` the pixels of one.
    pool : str
        How slices become a row.
    decode : float
        Seconds of a core for each byte of decoded pixels, 0 where they are stored plainly.
    masked : bool
        Whether each scan comes with a mask.
    largest : int
        Slices of the largest examination that was seen.
    """

    name: str
    examinations: int
    slices: int
    files: int
    file_bytes: int
    pixel_bytes: int
    shape: tuple[int, int] = (128, 128)
    features: str = "patches"
    patches: int = 225
    patch: int = 256
    pool: str = "mean"
    decode: float = 0.0
    masked: bool = False
    largest: int = 1

    @property
    def slice_bytes(self) -> int:
        """Bytes of a resized slice."""
        return 4 * self.shape[0] * self.shape[1]

    @property
    def resized_bytes(self) -> int:
        """Bytes of all resized slices, float32."""
        return self.slices * self.slice_bytes

    @property
    def slice_features(self) -> int:
        """Features of a slice."""
        if self.features == "pixels":
            return self.shape[0] * self.shape[1]
        return 8 if self.features == "statistics" else 2 * self.patches

    @property
    def width(self) -> int:
        """Features of a row."""
        return self.slice_features * (self.per_examination if self.pool == "stack" else 1)

    @property
    def rows(self) -> int:
        """Rows of features that are kept: one for each examination, or for each slice."""
        return self.slices if self.pool == "rows" else self.examinations

    @property
    def per_examination(self) -> int:
        """Slices of an examination, rounded up."""
        return -(-self.slices // max(self.examinations, 1))


@dataclass(frozen=True)
class TableSize:
    """A table: its name, its columns, and about how many features they become."""

    name: str
    columns: int
    width: int


@dataclass(frozen=True)
class StudySize:
    """A cohort as far as costs depend on it.

    Attributes
    ----------
    rows, patients, classes : int
        How many there are; of classes 0 where the label is a number.
    images : tuple of ImageSize
        Image modalities.
    tables : tuple of TableSize
        Table modalities.
    sampled : int
        Examinations whose headers were read; 0 where sizes were given.
    """

    rows: int
    patients: int
    classes: int = 2
    images: tuple[ImageSize, ...] = ()
    tables: tuple[TableSize, ...] = field(default=())
    sampled: int = 0

    @property
    def numbers(self) -> bool:
        """Whether the label is a number."""
        return self.classes == 0

    @property
    def fit_rows(self) -> int:
        """Rows that models see: slices where a modality wants that."""
        return max([self.rows, *(i.slices for i in self.images if i.pool == "rows")])

    @property
    def widths(self) -> dict[str, int]:
        """Features of each modality."""
        found = {image.name: image.width for image in self.images}
        return found | {table.name: table.width for table in self.tables}
