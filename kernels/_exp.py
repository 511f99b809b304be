"""Scalar helpers: the exponential of numbers that are not positive.

A polynomial without branches, which LLVM vectorises; a call of ``exp`` for every element
would cost twice the matrix product before it.
"""

import numpy as np

from ._jit import scalar

__all__ = ["exp32", "exp64"]


@scalar
def exp32(x):
    # exp(x) = 2^k exp(r), k = round(x / ln 2), |r| <= ln(2) / 2; ln 2 in two parts keeps r
    # exact. Taylor to degree 7: 4e-9, below float32's 6e-8. Below -87.3 float32 has only
    # denormals, which become 0.
    x = np.float32(-88) if x < np.float32(-88) else x
    k = np.int32(x * np.float32(1.4426950408889634) - np.float32(0.5))  # cuts towards 0: x <= 0
    n = np.float32(k)
    r = (x - n * np.float32(0.693359375)) + n * np.float32(2.12194440e-4)
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1)
    p = p * r + np.float32(1)
    scale = np.int32((k + 127 if k > -127 else 0) << 23).view(np.float32)
    return p * scale


@scalar
def exp64(x):
    # As exp32, with Taylor to degree 13: 4e-18 for |r| <= ln(2) / 2.
    x = -709.0 if x < -709.0 else x
    k = np.int64(x * 1.4426950408889634 - 0.5)
    n = np.float64(k)
    r = (x - n * 0.693145751953125) - n * 1.4286068203094172e-06
    p = 1 / 6227020800
    p = p * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * np.int64((k + 1023 if k > -1023 else 0) << 52).view(np.float64)
