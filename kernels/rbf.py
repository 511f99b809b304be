"""Turn a matrix of inner products into an RBF kernel, in place.

exp(-gamma * |x - y|^2) with |x - y|^2 = |x|^2 + |y|^2 - 2 x.y, clipped at 0. The exponential
is a polynomial without branches, which LLVM vectorises; a call of ``exp`` for every
element would cost twice the matrix product before it.
"""

import numpy as np

from ._jit import Kernel, cuda, prange, scalar

__all__ = ["rbf"]


def exp(x):
    """Stand in for _exp32 or _exp64, whichever fits the dtype."""
    raise NameError


@scalar
def _exp32(x):
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
def _exp64(x):
    # As _exp32, with Taylor to degree 13: 4e-18 for |r| <= ln(2) / 2.
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


def _rows(gram, left, right, gamma):
    two, zero, g = gram.dtype.type(2), gram.dtype.type(0), gamma[0]
    for i in prange(gram.shape[0]):
        row, a = gram[i], left[i]
        for j in range(row.size):
            distance = a + right[j] - two * row[j]
            row[j] = exp(-g * (zero if distance < zero else distance))


def _threads(work, gram, left, right, gamma):
    two, zero, g = gram.dtype.type(2), gram.dtype.type(0), gamma[0]
    columns = gram.shape[1]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i, j = element // columns, element % columns
        distance = left[i] + right[j] - two * gram[i, j]
        gram[i, j] = exp(-g * (zero if distance < zero else distance))


# The loops are the same for both dtypes, the exponential is not.
rbf = {
    "float32": Kernel("rbf", _rows, _threads, exp=_exp32),
    "float64": Kernel("rbf", _rows, _threads, exp=_exp64),
}
