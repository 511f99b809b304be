"""Ways to damage a file: bits flip, bytes go, come and repeat, lengths grow, tags change places."""

from __future__ import annotations

import random
from typing import Any

EXTREMES = {
    2: (0, 1, 0x7FFF, 0xFFFF, 0xFFFE),
    4: (0, 1, 0x7FFFFFFF, 1 << 31, 0xFFFFFFFE, 0xFFFFFFFF),
}


def _place(rng: random.Random, data: bytearray, room: int = 1) -> int:
    """Choose a place, mostly behind the preamble and mostly in the header."""
    low = 128 if len(data) > 400 and rng.random() < 0.95 else 0
    high = max(low + 1, len(data) - room + 1)
    if rng.random() < 0.7:
        high = max(low + 1, min(high, 1400))
    return rng.randrange(low, high)


def _flip(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    for _ in range(rng.randint(1, 8)):
        data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _run(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    at, size = _place(rng, data), rng.randint(1, 64)
    part = bytes([rng.choice((0, 32, 255))]) * size if rng.random() < 0.5 else rng.randbytes(size)
    data[at : at + size] = part[: len(data) - at]


def _delete(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    at = _place(rng, data)
    del data[at : at + rng.choice((1, 2, 4, 8, rng.randint(1, 300)))]


def _insert(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    at = _place(rng, data)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, rng.randint(1, 300))))


def _cut(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    del data[rng.randrange(len(data)) :]


def _lengths(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    size = rng.choice((2, 4))
    at = _place(rng, data, size) & ~1
    order: Any = rng.choice(("little", "little", "big"))
    data[at : at + size] = rng.choice(EXTREMES[size]).to_bytes(size, order)


def _tags(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    """Swap the tags of two elements, or what looks like them."""
    numbers = (0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x7FE0)
    groups = {g.to_bytes(2, order) for g in numbers for order in ("little", "big")}
    spots = [i for i in range(132, len(data) - 8, 2) if bytes(data[i : i + 2]) in groups]
    if len(spots) > 1:
        a, b = rng.sample(spots, 2)
        data[a : a + 4], data[b : b + 4] = data[b : b + 4], data[a : a + 4]


def _splice(rng: random.Random, data: bytearray, others: list[bytes]) -> None:
    other = rng.choice(others)
    if rng.random() < 0.5:
        at = _place(rng, data)
        data[at:] = other[min(len(other), max(0, at + rng.choice((0, 0, -20, 36)))) :]
    else:
        at, start, size = _place(rng, data), rng.randrange(len(other)), rng.randint(1, 200)
        data[at : at + size] = other[start : start + size]


WAYS = (_flip, _run, _delete, _insert, _cut, _lengths, _tags, _splice)


def mutated(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if found:
            rng.choice(WAYS)(rng, found, others)
    return bytes(found)
