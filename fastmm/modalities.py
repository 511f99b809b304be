"""What a modality is: how its raw data becomes features, and which rows have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from fastmm._check import integer, number, one_of, sizes
from fastmm._space import enter
from fastmm.blocks import Block, Examinations, join_blocks, same_widths
from fastmm.examinations import load_all, load_in_turn
from fastmm.features.regional import slice_statistics
from fastmm.features.table import Columns, TableEncoder, parse_table
from fastmm.image.patches import extract_patches
from fastmm.regions.features import with_sizes
from fastmm.streams.limits import check_limit

__all__ = ["ImageModality", "TableModality"]


@dataclass(frozen=True)
class ImageModality:
    """Images of one kind, one file, folder or array for each examination.

    Each slice is windowed, resized and normalised (see `load_images`), turned into
    features, and the features of the slices become those of the examination.

    Parameters
    ----------
    shape : (height, width), default (128, 128)
        Size every slice is resized to, in pixels.
    window : (center, width) or None, default None
        Intensity window mapped to [0, 1], in the unit of the images.
    normalize : {"zscore", "minmax", "percentile"} or None, default None
        Normalisation of each slice after the resize.
    features : {"patches", "pixels", "statistics"}, default "patches"
        The mean and the standard deviation of each patch; all pixels; or statistics of each
        slice, of those pixels that lie in the mask where there is one: mean, standard
        deviation, skewness, kurtosis, percentiles 10, 50 and 90, and the mask's share of
        its box.
    patch_size : (height, width), default (16, 16)
        Patch in pixels, for "patches".
    step : int, default 8
        Distance between patches in pixels.
    pool : {"mean", "max", "stack", "rows"}, default "mean"
        How the slices of an examination become one row: their mean or largest feature, or
        side by side, for which all examinations need as many slices. "rows": each slice is
        a row of its own with the label of its examination, in whose group it stays; the
        score of an examination is the mean of theirs.
    units : str or None, default None
        Unit the images must have before the window, such as "HU"; None accepts any, as long
        as it is one.
    channel : {0, 1, 2} or None, default None
        Channel of colour images. With None, colour is an error unless red, green and blue
        are equal.
    suv : bool, default False
        Convert PET in Bq/ml to standardised uptake values by body weight. A `normalize`
        would undo it, for it takes away the scale of each slice.
    margin : float, default 0.1
        Of examinations that come with a mask: share of the sides of its box that is added
        around it. Slices without a voxel of the mask are left out, the others cropped to
        one box for all, in the proportions of `shape`. Window and normalisation come before,
        over the whole slice: what a region is, it is against what surrounds it.
    outside : {"blank", "keep"}, default "blank"
        What surrounds the mask within the box: the lowest intensity of the region, or what
        is there.
    region_size : bool, default False
        With "statistics", whether the volume of the region in ml and its longest extent in
        mm are features, too. All masks must tell the size of their voxels.

    Raises
    ------
    ValueError, TypeError
        About a parameter that cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmm import ImageModality
    >>> ct = ImageModality(shape=(32, 32), features="pixels")
    >>> ct.extract([np.ones((3, 32, 32), "float32"), None]).values.shape
    (2, 1024)
    """

    shape: tuple[int, int] = (128, 128)
    window: tuple[float, float] | None = None
    normalize: str | None = None
    features: str = "patches"
    patch_size: tuple[int, int] = (16, 16)
    step: int = 8
    pool: str = "mean"
    units: str | None = None
    channel: int | None = None
    suv: bool = False
    margin: float = 0.1
    outside: str = "blank"
    region_size: bool = False

    def __post_init__(self) -> None:
        for name in ("shape", "patch_size"):
            object.__setattr__(self, name, sizes(getattr(self, name), name, lengths=(2,)))
        one_of(self.features, "features", ("patches", "pixels", "statistics"))
        one_of(self.pool, "pool", ("mean", "max", "stack", "rows"))
        one_of(self.outside, "outside", ("blank", "keep"))
        number(self.margin, "margin", minimum=0)
        integer(self.step, "step")
        if self.normalize is not None:
            one_of(self.normalize, "normalize", ("zscore", "minmax", "percentile"))
        if self.window is not None:
            center, width = self.window
            number(center, "window center")
            number(width, "window width", minimum=1)
        if self.channel is not None and integer(self.channel, "channel", minimum=0) > 2:
            raise ValueError(f"`channel` must be 0, 1 or 2, got {self.channel}.")
        if not isinstance(self.suv, bool):
            raise TypeError(f"`suv` must be True or False, got {self.suv!r}.")
        if self.region_size and self.features != "statistics":
            raise ValueError(f'`region_size` needs `features="statistics"`, got "{self.features}".')

    def describe(self) -> str:
        """Say in words what happens to an image."""
        steps = []
        if self.channel is not None:
            steps.append(f"{('red', 'green', 'blue')[self.channel]} channel")
        if self.suv:
            steps.append("SUV by body weight")
        if self.window:
            center, width = self.window
            steps.append(f"window {center:g}/{width:g} {self.units or ''}".rstrip())
        steps.append(f"{self.shape[0]} x {self.shape[1]} pixels")
        if self.normalize:
            steps.append(f"normalised by {self.normalize}")
        if self.features == "patches":
            height, width = self.patch_size
            steps.append(f"mean and deviation of {height} x {width} patches, step {self.step}")
        if self.features == "statistics":
            steps.append("statistics of intensities")
        if self.region_size:
            steps.append("volume and longest extent of the region")
        return ", ".join([*steps, f"slices: {self.pool}"])

    def describe_region(self) -> str:
        """Say in words what happens to a scan with a mask, before the rest."""
        around = "blanked" if self.outside == "blank" else "kept"
        return f"cropped to the mask, margin {self.margin:g}, surroundings {around}"

    def extract(
        self,
        data: Examinations | Sequence[Any],
        *,
        device: str = "cpu",
        memory_limit: int | str | None = None,
    ) -> Block:
        """Compute the features of examinations.

        Parameters
        ----------
        data : Examinations, or sequence of path, array (slices, h, w), pair of paths, or None
            One for each examination, None where it is missing. Paths are read by `load`, a
            pair is a scan and its mask; arrays are taken as they are and must have `shape`.
        device : {"auto", "cpu", "cuda"}, default "cpu"
            Where what is read becomes features.
        memory_limit : int or str, optional
            Bytes for images and for reading them, such as "2GB": paths are read some at a
            time, and only the features stay. A scan with a mask is read as a whole: one that
            does not fit is an error, before its pixels are read.

        Returns
        -------
        Block
            float32 features, on the host, where models are fitted.
        """
        limit = check_limit(memory_limit)
        if not isinstance(data, Examinations):
            items = list(data)
            read = any(isinstance(item, (str, PathLike, tuple)) for item in items)
            if read and limit is not None:
                parts = load_in_turn(self, items, device, None, limit)
                return join_blocks([self.extract(part) for part in parts])
            data = self.load(items, device=device) if read else Examinations(items, "", 0)
        block = self._block(data.images)
        return with_sizes(block, data.sizes) if self.region_size else block

    def _block(self, items: Sequence[Any]) -> Block:
        found = [None if item is None else self._slices(item, i) for i, item in enumerate(items)]
        present = np.array([each is not None for each in found], bool)
        if self.pool == "rows":
            counts = np.array([0 if each is None else len(each) for each in found])
            own = [each for each in found if each is not None]
            return Block(np.concatenate(own or [np.zeros((0, 0), np.float32)]), present, counts)
        rows = [None if each is None else self._pooled(each) for each in found]
        same_widths({len(row) for row in rows if row is not None})
        empty = np.zeros(max((len(row) for row in rows if row is not None), default=0), np.float32)
        return Block(np.stack([empty if row is None else row for row in rows]), present)

    def load(
        self,
        paths: Sequence[Any],
        *,
        device: str = "cpu",
        progress: Callable[[int, int], object] | None = None,
    ) -> Examinations:
        """Read examinations: window, crop to the mask, resize and normalise each slice.

        Parameters
        ----------
        paths : sequence of path, (path, path) or None
            A file or folder for each examination, with that of its mask where it has one;
            None where it is missing.
        device : {"auto", "cpu", "cuda"}, default "cpu"
            Where the images shall be.
        progress : callable, optional
            Called as ``progress(done, total)``, counting slices, or scans with masks.

        Returns
        -------
        Examinations

        Raises
        ------
        CohortError
            If the images differ in their unit, or have another than `units`.
        GeometryError
            If a mask and its scan do not meet.
        """
        return load_all(self, paths, device, progress)

    def _slices(self, item: Any, number: int) -> Any:
        """Return the features of each slice, (slices, features), on the host."""
        space, (slices,), _ = enter(images=item)
        slices = slices.astype(np.float32, copy=False)
        if slices.ndim == 2:
            slices = slices[None]
        if slices.ndim != 3 or slices.shape[1:] != self.shape or not len(slices):
            raise ValueError(
                f"Examination {number} must have shape (slices, {self.shape[0]}, "
                f"{self.shape[1]}), got {slices.shape}."
            )
        if self.features == "statistics":
            return slice_statistics(space.to_host(slices))
        return space.to_host(self._features(slices, space.xp))

    def _features(self, slices: Any, xp: Any) -> Any:
        if self.features == "pixels":
            return slices.reshape(len(slices), -1)
        patches = extract_patches(slices, self.patch_size, step=self.step)
        axes = (-2, -1)
        both = xp.stack([patches.mean(axis=axes), patches.std(axis=axes)], axis=1)
        return both.reshape(len(slices), -1)

    def _pooled(self, features: Any) -> Any:
        if self.pool == "stack":
            return features.reshape(-1)
        return features.mean(axis=0) if self.pool == "mean" else features.max(axis=0)


@dataclass(frozen=True)
class TableModality:
    """Columns of a case table or of gene expression; see `TableEncoder` for the rules.

    Parameters
    ----------
    max_categories : int, default 20
        A text column with more categories is refused as free text.

    Examples
    --------
    >>> from fastmm import TableModality
    >>> TableModality().extract({"age": ["60", "", "70"]}).present
    array([ True, False,  True])
    """

    max_categories: int = 20

    def extract(self, data: Mapping[str, Sequence[Any]] | Columns) -> Block:
        """Find the types of the columns; a row whose cells are all blank lacks the table."""
        columns = parse_table(data)
        filled = [texts != "" for texts in columns.texts.values()]
        return Block(columns, np.any(filled, axis=0))

    def encoder(self) -> TableEncoder:
        """Return the encoder that is fitted to the rows a model learns from."""
        return TableEncoder(self.max_categories)
