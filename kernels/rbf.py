"""Turn matrices of inner products into RBF kernels, in place.

exp(-gamma * |x - y|^2) with |x - y|^2 = |x|^2 + |y|^2 - 2 x.y, clipped at 0. `gram` is
(batch * n, m) and `right` (batch, m).
"""

from ._exp import exp32, exp64
from ._jit import Kernel, cuda, prange

__all__ = ["rbf"]


def exp(x):
    """Stand in for exp32 or exp64, whichever fits the dtype."""
    raise NameError


def _rows(gram, left, right, gamma):
    two, zero, g = gram.dtype.type(2), gram.dtype.type(0), gamma[0]
    per = gram.shape[0] // right.shape[0]
    for i in prange(gram.shape[0]):
        row, a, b = gram[i], left[i], right[i // per]
        for j in range(row.size):
            distance = a + b[j] - two * row[j]
            row[j] = exp(-g * (zero if distance < zero else distance))


def _threads(work, gram, left, right, gamma):
    two, zero, g = gram.dtype.type(2), gram.dtype.type(0), gamma[0]
    columns, per = gram.shape[1], gram.shape[0] // right.shape[0]
    for element in range(cuda.grid(1), work, cuda.gridsize(1)):
        i, j = element // columns, element % columns
        distance = left[i] + right[i // per, j] - two * gram[i, j]
        gram[i, j] = exp(-g * (zero if distance < zero else distance))


# The loops are the same for both dtypes, the exponential is not.
rbf = {
    "float32": Kernel("rbf", _rows, _threads, exp=exp32),
    "float64": Kernel("rbf", _rows, _threads, exp=exp64),
}
