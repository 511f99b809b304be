"""A few random changes to the bytes of a file."""

from __future__ import annotations


def mutated(whole, rng):
    data = bytearray(whole)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(len(data)))
        how = rng.integers(4)
        if how == 0:
            data[place] = int(rng.integers(256))
        elif how == 1:
            data[place : place + 4] = rng.bytes(4)
        elif how == 2:
            data[place : place + 4] = b"\xff\xff\xff\xff"
        else:
            del data[place : place + int(rng.integers(1, 50))]
        data = data or bytearray(1)
    return bytes(data)
