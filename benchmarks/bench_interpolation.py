"""Resize by every method, down and up, images and volumes, and lists of any sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dense_resize import error_of

import fastmm

# Images, side before, side after.
DOWN, UP = (256, 512, 128), (64, 128, 512)
TINY = {DOWN: (4, 64, 16), UP: (2, 16, 40)}
sizes = pytest.mark.parametrize("size", [DOWN, UP], ids=["down", "up"])
VOLUMES = {"down": ((64, 128, 64), (2, 12, 6)), "up": ((8, 64, 128), (2, 6, 11))}
volumes = pytest.mark.parametrize("which", list(VOLUMES))
methods = pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "area"])
smooth = pytest.mark.parametrize("method", ["linear", "cubic"])


@sizes
@methods
def bench_method(timed: Any, arrays: Any, pick: Any, size: Any, method: str) -> None:
    n, before, after = pick(size, TINY[size])
    if method == "linear" and size == DOWN:
        pytest.skip("bench_resizing.py measures it")
    images = draw(n, before, before)
    timed(
        lambda x: fastmm.resize(x, (after, after), interpolation=method),
        arrays.xp.asarray(images),
        group=group(method, n, before, after),
        bytes=4 * n * (before * before + after * after),
        check=lambda out: error_of(arrays.asnumpy(out), images, (after, after), method),
        tolerance=2e-6,
    )


@sizes
@methods
def bench_method_opencv(timed: Any, pick: Any, size: Any, method: str) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    flag = {
        "nearest": cv2.INTER_NEAREST_EXACT,
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
        "area": cv2.INTER_AREA,
    }[method]
    n, before, after = pick(size, TINY[size])
    if (method == "linear" and size == DOWN) or (method == "area" and size == UP):
        pytest.skip("measured elsewhere, or no average")
    images = draw(n, before, before)

    def call(x: np.ndarray) -> np.ndarray:
        out = np.empty((n, after, after), np.float32)
        for source, target in zip(x, out, strict=True):
            cv2.resize(source, (after, after), dst=target, interpolation=flag)
        return out

    timed(
        call,
        images,
        group=group(method, n, before, after),
        peer="OpenCV",
        bytes=4 * n * (before * before + after * after),
        check=lambda out: error_of(out, images, (after, after), method),
        tolerance=2e-6,
    )


@sizes
@methods
def bench_method_torch(timed: Any, torch_from: Any, pick: Any, size: Any, method: str) -> None:
    from torch.nn.functional import interpolate

    n, before, after = pick(size, TINY[size])
    if (method == "linear" and size == DOWN) or (method == "area" and size == UP):
        pytest.skip("measured elsewhere, or no average of shares")
    options: dict[str, Any] = {"mode": "area"}
    if method == "nearest":
        options = {"mode": "nearest-exact"}
    elif method != "area":
        options = {"mode": f"bi{method}", "align_corners": False}
    images = draw(n, before, before)
    timed(
        lambda x: interpolate(x[:, None], (after, after), **options),
        torch_from(images),
        group=group(method, n, before, after),
        peer="PyTorch",
        bytes=4 * n * (before * before + after * after),
        check=lambda out: error_of(out[:, 0].cpu().numpy(), images, (after, after), method),
        tolerance=1e-4,
    )


@smooth
def bench_antialias(timed: Any, arrays: Any, pick: Any, method: str) -> None:
    n, before, after = pick((64, 512, 128), TINY[DOWN])
    images = draw(n, before, before)
    timed(
        lambda x: fastmm.resize(x, (after, after), interpolation=method, antialias=True),
        arrays.xp.asarray(images),
        group=group(f"{method}, antialias", n, before, after),
        bytes=4 * n * (before * before + after * after),
        check=lambda out: error_of(arrays.asnumpy(out), images, (after, after), method, True),
        tolerance=2e-6,
    )


@smooth
def bench_antialias_torch(timed: Any, torch_from: Any, pick: Any, method: str) -> None:
    from torch.nn.functional import interpolate

    n, before, after = pick((64, 512, 128), TINY[DOWN])
    images = draw(n, before, before)
    timed(
        lambda x: interpolate(
            x[:, None], (after, after), mode=f"bi{method}", align_corners=False, antialias=True
        ),
        torch_from(images),
        group=group(f"{method}, antialias", n, before, after),
        peer="PyTorch",
        bytes=4 * n * (before * before + after * after),
        check=lambda out: error_of(out[:, 0].cpu().numpy(), images, (after, after), method, True),
        tolerance=1e-4,
    )


@volumes
def bench_volumes(timed: Any, arrays: Any, pick: Any, which: str) -> None:
    n, before, after = pick(*VOLUMES[which])
    given = draw(n, before, before, before)
    timed(
        lambda x: fastmm.resize(x, (after,) * 3),
        arrays.xp.asarray(given),
        group=volume_group(n, before, after),
        bytes=4 * n * (before**3 + after**3),
        check=lambda out: error_of(arrays.asnumpy(out), given, (after,) * 3, "linear"),
        tolerance=2e-6,
    )


@volumes
def bench_volumes_torch(timed: Any, torch_from: Any, pick: Any, which: str) -> None:
    from torch.nn.functional import interpolate

    n, before, after = pick(*VOLUMES[which])
    given = draw(n, before, before, before)
    timed(
        lambda x: interpolate(x[:, None], (after,) * 3, mode="trilinear", align_corners=False),
        torch_from(given),
        group=volume_group(n, before, after),
        peer="PyTorch",
        bytes=4 * n * (before**3 + after**3),
        check=lambda out: error_of(out[:, 0].cpu().numpy(), given, (after,) * 3, "linear"),
        tolerance=1e-4,
    )


def bench_one_image(timed: Any, arrays: Any, pick: Any) -> None:
    before, after = pick((512, 128), (64, 16))
    image = draw(1, before, before)[0]
    timed(
        lambda x: fastmm.resize(x, (after, after)),
        arrays.xp.asarray(image),
        group=f"one image: resize {before} x {before} -> {after} x {after}",
        check=lambda out: error_of(
            arrays.asnumpy(out)[None], image[None], (after, after), "linear"
        ),
        tolerance=2e-6,
        calls=pick(200, 1),
    )


def bench_one_image_opencv(timed: Any, pick: Any) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    before, after = pick((512, 128), (64, 16))
    image = draw(1, before, before)[0]
    timed(
        lambda x: cv2.resize(x, (after, after), interpolation=cv2.INTER_LINEAR),
        image,
        group=f"one image: resize {before} x {before} -> {after} x {after}",
        peer="OpenCV",
        check=lambda out: error_of(out[None], image[None], (after, after), "linear"),
        tolerance=2e-6,
        calls=pick(200, 1),
    )


def bench_list(timed: Any, arrays: Any, pick: Any) -> None:
    images, after = pick((ragged(200, 256, 512), 128), (ragged(4, 20, 40), 16))
    timed(
        lambda *given: fastmm.resize(given, (after, after), interpolation="area"),
        *(arrays.xp.asarray(image) for image in images),
        group=f"a list of {len(images)} images of any size, area -> {after} x {after}",
        bytes=sum(image.nbytes for image in images) + 4 * len(images) * after * after,
        check=lambda out: list_error(arrays.asnumpy(out), images, after),
        tolerance=2e-6,
    )


def bench_list_opencv(timed: Any, pick: Any) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    images, after = pick((ragged(200, 256, 512), 128), (ragged(4, 20, 40), 16))

    def call(*given: np.ndarray) -> np.ndarray:
        out = np.empty((len(given), after, after), np.float32)
        for source, target in zip(given, out, strict=True):
            cv2.resize(source, (after, after), dst=target, interpolation=cv2.INTER_AREA)
        return out

    timed(
        call,
        *images,
        group=f"a list of {len(images)} images of any size, area -> {after} x {after}",
        peer="OpenCV",
        bytes=sum(image.nbytes for image in images) + 4 * len(images) * after * after,
        check=lambda out: list_error(out, images, after),
        tolerance=2e-6,
    )


def group(method: str, n: int, before: int, after: int) -> str:
    return f"resize {method} float32 {n} x {before} x {before} -> {after} x {after}"


def volume_group(n: int, before: int, after: int) -> str:
    return f"resize volumes float32 {n} x {before}^3 -> {after}^3"


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def ragged(n: int, least: int, most: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [draw(*rng.integers(least, most, 2)) for _ in range(n)]


def list_error(result: np.ndarray, images: list[np.ndarray], side: int) -> float:
    sample = (0, -1)
    pairs = [(result[i : i + 1 or None], images[i][None]) for i in sample]
    return max(error_of(out, image, (side, side), "area") for out, image in pairs)
