"""Decimal text of DICOM headers as numbers, to the last bit what Python makes of it."""

import numpy as np

from ._jit import scalar

__all__ = ["read_decimals"]

_TENS = np.array([float(10**n) for n in range(23)])  # as far as they are exact
_MOST = np.int64(2) ** 53 // 10 - 1  # a digit after that may be one more than fits
_PLUS, _MINUS, _POINT = 43, 45, 46


@scalar
def _is_blank(byte):
    return byte == 32 or byte == 0


@scalar
def _is_digit(byte):
    return 48 <= byte <= 57


@scalar
def _read_decimal(head, at, stop):
    """Return the number in ``head[at:stop]``, or NaN where it is none or not a plain one.

    An integer below 2^53 and a power of ten up to 22 are exact, so that their product or
    quotient is rounded once, and thus rightly.
    """
    while at < stop and _is_blank(head[at]):
        at += 1
    while stop > at and _is_blank(head[stop - 1]):
        stop -= 1
    negative = at < stop and head[at] == _MINUS
    at += at < stop and (head[at] == _MINUS or head[at] == _PLUS)
    whole, digits, places, point = np.int64(0), 0, 0, False
    while at < stop and (_is_digit(head[at]) or (head[at] == _POINT and not point)):
        if head[at] == _POINT:
            point = True
        elif whole > _MOST:
            return np.nan
        else:
            whole = whole * 10 + np.int64(head[at]) - 48
            digits += 1
            places += point
        at += 1
    if digits == 0:
        return np.nan
    if at < stop:
        if head[at] != 69 and head[at] != 101:  # E, e
            return np.nan
        places -= _exponent(head, at + 1, stop)
    if places <= -_TENS.size or places >= _TENS.size:
        return np.nan
    value = np.float64(whole)
    value = value / _TENS[places] if places > 0 else value * _TENS[-places]
    return -value if negative else value


@scalar
def _exponent(head, at, stop):
    """Return the exponent in ``head[at:stop]``, or one that is too large where it is none."""
    negative = at < stop and head[at] == _MINUS
    at += at < stop and (head[at] == _MINUS or head[at] == _PLUS)
    if at >= stop or stop - at > 3:
        return 9999
    number = 0
    for i in range(at, stop):
        if not _is_digit(head[i]):
            return 9999
        number = number * 10 + np.int64(head[i]) - 48
    return -number if negative else number


@scalar
def read_decimals(head, at, size, out):
    """Fill `out` with the numbers of a value, split by backslashes; with NaN if they differ.

    NaN says that somebody else has to read the value: it may be a number all the same.
    """
    stop, n = at + size, 0
    start = at
    for i in range(at, stop + 1):
        if i == stop or head[i] == 92:
            if n < out.size:
                out[n] = _read_decimal(head, start, i)
            n += 1
            start = i + 1
    good = n == out.size
    for i in range(out.size):
        good = good and out[i] == out[i]
    if not good:
        out[:] = np.nan
