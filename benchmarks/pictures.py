"""Write pictures of a CT, an MR and a PET slice before and after each image operator.

``python benchmarks/pictures.py CT MR PET OUT [--middle Z]`` with the folders (or files) of
three series of one patient writes OUT/ct.png, mr.png and pet.png: a panel for each operator,
and OUT/resampled.png: MR and PET on the grid of the CT. For looking at; nothing is checked.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastmm

# Window of the CT panels, HU; the others span their percentiles.
CENTER, WIDTH = 40.0, 400.0


def panels(image: np.ndarray, modality: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a name and a picture for each operator on one slice."""
    yield "before", image
    small = tuple(n // 6 for n in image.shape)
    for method in ("nearest", "linear", "cubic", "area"):
        yield f"{method}, to a sixth", fastmm.resize(image, small, interpolation=method)
    for method in ("linear", "cubic"):
        down = fastmm.resize(image, small, interpolation=method, antialias=True)
        yield f"{method}, antialias, to a sixth", down
    tile = cut(image)
    for method in ("nearest", "linear", "cubic", "area"):
        large = tuple(5 * n for n in tile.shape)
        yield f"{method}, part, 5 times", fastmm.resize(tile, large, interpolation=method)
    if modality == "CT":
        yield "window", fastmm.window(image, CENTER, WIDTH)
    for method in ("zscore", "minmax", "percentile"):
        yield f"normalize {method}", fastmm.normalize(image, method)
    yield "clip_histogram", fastmm.clip_histogram(image)
    unit = fastmm.normalize(image, "percentile", clip=(0, 1))
    for method in ("median", "gaussian", "tv"):
        yield f"denoise {method}", fastmm.denoise(unit, method)
    yield "equalize", fastmm.equalize(unit)
    patches = fastmm.extract_patches(unit, (32, 32), step=16, pad="cover")
    yield "patches, side by side", mosaic(patches)
    merged = fastmm.merge_patches(patches, unit.shape, step=16, pad="cover")
    yield "patches merged", merged
    yield "merged less before", merged - unit
    found = fastmm.patch_statistics(unit, (8, 8), step=4, statistics=("mean", "std", "entropy"))
    for i, name in enumerate(("mean", "std", "entropy")):
        yield f"patch {name}", found[..., i]


def cut(image: np.ndarray) -> np.ndarray:
    """Return the part of a 6th of each side that varies most."""
    size = tuple(n // 6 for n in image.shape)
    grid = fastmm.extract_patches(image, size, step=size)
    spread = grid.std((2, 3))
    return np.asarray(grid[np.unravel_index(spread.argmax(), spread.shape)])


def mosaic(patches: np.ndarray) -> np.ndarray:
    """Lay a grid of patches side by side with dark lines between them."""
    framed = np.pad(patches, ((0, 0), (0, 0), (0, 2), (0, 2)))
    rows, columns, height, width = framed.shape
    return framed.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def draw(path: Path, pictures: list[tuple[str, np.ndarray]]) -> None:
    """Write pictures with their shape and range, each from its 1st to its 99th percentile."""
    from matplotlib.figure import Figure

    columns = 6
    rows = -(-len(pictures) // columns)
    # As high as the highest picture of each row, and its title.
    heights = [
        max(p.shape[0] / p.shape[1] for _, p in pictures[row * columns : (row + 1) * columns])
        for row in range(rows)
    ]
    size = (3.2 * columns, sum(3.1 * height + 0.5 for height in heights))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(rows, columns, height_ratios=[h + 0.16 for h in heights])
    for place, (name, picture) in enumerate(pictures):
        axes = figure.add_subplot(grid[divmod(place, columns)], anchor="N")
        low, high = np.percentile(picture, (1, 99.5))
        axes.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        shape = " x ".join(map(str, picture.shape))
        title = f"{name}\n{shape}, {picture.min():.4g} to {picture.max():.4g}"
        axes.set_title(title, fontsize=8)
        axes.set_axis_off()
    figure.savefig(path, dpi=70)


def resampled(ct: Any, mr: Any, pet: Any, z: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the CT slice, and MR and PET on its grid; voxels outside hold the lowest value."""
    for name, volume in (("MR", mr), ("PET", pet)):  # a row of six for each
        yield "CT", fastmm.window(ct.array[z], CENTER, WIDTH)
        for method in ("nearest", "linear", "cubic"):
            found = fastmm.resample(volume, like=ct, interpolation=method)
            yield f"{name} on CT's grid, {method}", found.array[z]
            seen = fastmm.normalize(found.array[z], "percentile", clip=(0, 1))
        yield f"CT and {name}", 0.5 * fastmm.window(ct.array[z], CENTER, WIDTH) + 0.5 * seen
        finer = fastmm.resample(volume, spacing=2.0).array
        yield f"{name}, 2 mm, middle slice", finer[len(finer) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("ct", "mr", "pet", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--middle", type=int, help="slice, counted from 0; by default the middle")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    volumes = {name: fastmm.read_volume(getattr(args, name)) for name in ("ct", "mr", "pet")}
    for name, volume in volumes.items():
        z = len(volume.array) // 2 if args.middle is None else args.middle
        print(name, volume.array.shape, volume.spacing, volume.units)
        draw(args.out / f"{name}.png", list(panels(volume.array[z], name.upper())))
    z = len(volumes["ct"].array) // 2 if args.middle is None else args.middle
    draw(
        args.out / "resampled.png", list(resampled(volumes["ct"], volumes["mr"], volumes["pet"], z))
    )


if __name__ == "__main__":
    main()
