"""Pictures of what adds to a score: over the scan with a colour bar, or bars by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["draw_bars", "draw_overlay"]

_SIDE, _GAP, _FONT = 384, 12, 15  # pixels
_FOR, _AGAINST = np.array([0.80, 0.08, 0.10]), np.array([0.08, 0.28, 0.90])
_MOST = 0.7  # how much of the full colour covers the scan
_INK, _PAPER, _SOFT = (25, 28, 34), (255, 255, 255), (110, 114, 122)


def draw_overlay(
    image: Any, contribution: Any, limit: float, file: Path, *, caption: Sequence[str] = ()
) -> None:
    """Draw an image, and it again with a map over it: red raises the score, blue lowers it.

    Where the map is 0 the image keeps its grey; a colour bar tells the values.

    Parameters
    ----------
    image, contribution : arrays of shape (h, w)
        What is drawn, and what each pixel adds; NaN of the image is black.
    limit : float
        Contribution of a pixel that gets the full colour.
    file : Path
        PNG file to write.
    caption : sequence of str
        Lines below.
    """
    grey, limit = _grey(image), max(float(limit), 1e-300)
    mixed = _mixed(grey, np.asarray(contribution, np.float64) / limit)
    size = _size(grey.shape)
    panels = [_picture(np.repeat(grey[..., None], 3, axis=2), size), _picture(mixed, size)]
    bar = _picture(_mixed(np.full((256, 1), 0.5), np.linspace(1, -1, 256)[:, None]), (18, size[1]))
    texts = [f"{sign}{limit:.2g}" for sign in "+-"]
    tick = 8 + int(max(_font().getlength(text) for text in (*texts, "per pixel")))
    canvas, draw, top = _canvas(2 * size[0] + 2 * _GAP + 18 + tick, size[1], caption)
    left = _GAP
    for panel in panels:
        canvas.paste(panel, (left, top))
        left += panel.width + _GAP
    canvas.paste(bar, (left, top))
    ends = [(texts[0], 0), ("0", size[1] // 2 - _FONT // 2), (texts[1], size[1] - _FONT - 3)]
    for text, down in ends:
        draw.text((left + 24, top + down), text, _INK, font=_font())
    draw.text((left + 24, top + _FONT + 3), "per pixel", _SOFT, font=_font(12))
    canvas.save(file)


def draw_bars(
    image: Any,
    names: Sequence[str],
    values: Sequence[float],
    limit: float,
    file: Path,
    *,
    caption: Sequence[str] = (),
) -> None:
    """Draw an image, and beside it what each named feature adds, as bars about 0.

    Parameters
    ----------
    image : array of shape (h, w)
        NaN, such as around a region, is black.
    names, values : sequences of str and float
        Features and what they add.
    limit : float
        Contribution that gets the longest bar; a larger one is cut, its value told.
    file : Path
        PNG file to write.
    caption : sequence of str
        Lines below.
    """
    grey = _grey(image)
    size, line = _size(grey.shape), 2 * _FONT
    words = int(max(_font().getlength(name) for name in names)) + _GAP
    told = int(_font().getlength("+0.0000")) + _GAP
    half, limit = 120, max(float(limit), 1e-300)
    height = max(size[1], line * len(names))
    wide = size[0] + 2 * _GAP + words + 2 * (half + told)
    canvas, draw, top = _canvas(wide, height, caption)
    canvas.paste(_picture(np.repeat(grey[..., None], 3, axis=2), size), (_GAP, top))
    start = size[0] + 2 * _GAP
    zero = start + words + told + half
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        down = top + row * line
        draw.text((start, down + _FONT // 2 - 2), name, _INK, font=_font())
        length = round(half * min(abs(value) / limit, 1.0))
        colour = tuple((255 * (_FOR if value > 0 else _AGAINST)).astype(int).tolist())
        ends = (zero, zero + length) if value > 0 else (zero - length, zero)
        draw.rectangle((ends[0], down + 5, ends[1], down + line - 6), fill=colour)
        text = f"{value:+.2g}"
        shift = 5 if value > 0 else -5 - _font().getlength(text)
        end = ends[1] if value > 0 else ends[0]
        draw.text((end + shift, down + _FONT // 2 - 2), text, _INK, font=_font())
    draw.line((zero, top, zero, top + line * len(names)), fill=_INK)
    canvas.save(file)


def _grey(image: Any) -> Any:
    values = np.asarray(image, np.float64)
    low, high = np.nanpercentile(values, [1, 99])
    return np.nan_to_num(np.clip((values - low) / max(float(high - low), 1e-12), 0, 1))


def _mixed(grey: Any, share: Any) -> np.ndarray[Any, Any]:
    strength = _MOST * np.clip(abs(share), 0, 1)[..., None]
    colour = np.where((share > 0)[..., None], _FOR, _AGAINST)
    mixed: np.ndarray[Any, Any] = grey[..., None] * (1 - strength) + colour * strength
    return mixed


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (width, height) in the picture: the longer side is the same for all."""
    scale = _SIDE / max(shape)
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _picture(values: Any, size: tuple[int, int]) -> Any:
    from PIL import Image

    picture = Image.fromarray((255 * values).round().astype(np.uint8))
    return picture.resize(size, Image.Resampling.BILINEAR)


@cache
def _font(size: int = _FONT) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _canvas(width: int, height: int, caption: Sequence[str]) -> tuple[Any, Any, int]:
    """Return an empty picture with its caption, its pen, and where the panels begin."""
    from PIL import Image, ImageDraw

    lines, line = [each for text in caption for each in _wrapped(text, width)], _FONT + 5
    canvas = Image.new("RGB", (width + _GAP, height + 3 * _GAP + line * len(lines)), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, text in enumerate(lines):
        at = (_GAP, height + 2 * _GAP + number * line)
        draw.text(at, text, _INK, font=_font())
    return canvas, draw, _GAP


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font().getlength(longer) > width - _GAP and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
