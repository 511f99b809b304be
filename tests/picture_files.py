"""Slow, obvious encoders of PNG and TIFF, for what no library at hand writes."""

from __future__ import annotations

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
          (1, 0, 2, 1)]  # fmt: skip


def chunk(kind, content):
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(pixels, color_type, depth=8, *, interlaced=False, extra=(), filters=(0, 1, 2, 3, 4)):
    """Encode (rows, columns, channels), with the row filters one after the other."""
    rows, columns, _ = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, depth, color_type, 0, 0, int(interlaced))
    raw = b""
    for y, x, dy, dx in PASSES if interlaced else [(0, 0, 1, 1)]:
        part = pixels[y::dy, x::dx]
        if part.size:
            raw += _filtered(part, depth, filters)
    packed = zlib.compress(raw)
    halves = chunk(b"IDAT", packed[: len(packed) // 2]) + chunk(b"IDAT", packed[len(packed) // 2 :])
    return (
        SIGNATURE
        + chunk(b"IHDR", header)
        + b"".join(chunk(*e) for e in extra)
        + halves
        + chunk(b"IEND", b"")
    )


def _filtered(pixels, depth, filters):
    unit = max(1, pixels.shape[2] * depth // 8)
    above = None
    out = b""
    for i, row in enumerate(pixels):
        line = _bytes(row.reshape(-1), depth)
        above = above or bytes(len(line))
        kind = filters[i % len(filters)]
        out += bytes([kind])
        for j, value in enumerate(line):
            left = line[j - unit] if j >= unit else 0
            corner = above[j - unit] if j >= unit else 0
            out += bytes([(value - _predicted(kind, left, above[j], corner)) % 256])
        above = line
    return out


def _bytes(samples, depth):
    if depth == 16:
        return samples.astype(">u2").tobytes()
    bits = "".join(f"{int(v):0{depth}b}" for v in samples)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def _predicted(kind, left, up, corner):
    if kind == 4:
        guess = left + up - corner
        return min((abs(guess - v), k, v) for k, v in enumerate((left, up, corner)))[2]
    return (0, left, up, (left + up) // 2)[kind]


def tiff(pages, order="<"):
    """Encode pages (tags, blocks); the tags of the blocks are added."""
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    for number, (tags, blocks) in enumerate(pages):
        tags = dict(tags)
        names = (324, 325) if 322 in tags else (273, 279)
        start = len(out) + 2 + 12 * (len(tags) + 2) + 4
        extra = b""
        sizes = [len(b) for b in blocks]
        tags[names[1]] = (4, sizes)
        tags[names[0]] = (4, [0] * len(blocks))
        for tag in tags:
            kind, values = tags[tag]
            values = [values] if isinstance(values, int) else list(values)
            tags[tag] = kind, values
        lengths = {t: len(v) * {1: 1, 2: 1, 3: 2, 4: 4}[k] for t, (k, v) in tags.items()}
        data = start + sum(n for n in lengths.values() if n > 4)
        tags[names[0]] = 4, [data + sum(sizes[:i]) for i in range(len(sizes))]
        out += struct.pack(order + "H", len(tags))
        for tag, (kind, values) in sorted(tags.items()):
            packed = struct.pack(f"{order}{len(values)}{'?BBHI'[kind]}", *values)
            if len(packed) > 4:
                out_of_line = start + len(extra)
                extra += packed
                packed = struct.pack(order + "I", out_of_line)
            out += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
        end = data + sum(sizes)
        end += end % 2
        out += struct.pack(order + "I", end if number < len(pages) - 1 else 0)
        out = (out + extra + b"".join(blocks)).ljust(end, b"\0")
    return out


def grey_tags(rows, columns, bits=8, **more):
    """Give the tags of a grey page; `more` is ``t339=(3, 1)`` for tag 339."""
    tags = {256: (4, columns), 257: (4, rows), 258: (3, bits), 259: (3, 1), 262: (3, 1),
            277: (3, 1), 278: (4, rows)}  # fmt: skip
    tags.update({int(name[1:]): value for name, value in more.items()})
    return {tag: value for tag, value in tags.items() if value is not None}


def noise(shape, dtype, seed=0):
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
