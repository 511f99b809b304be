"""Scalar helpers: angles from cosines, and what rectifiers make of them.

Without branches, so that LLVM vectorises them.
"""

import math

from ._jit import scalar

__all__ = ["cosine", "ramp", "step", "supplement"]


@scalar
def supplement(c):
    """Return pi less the angle whose cosine is `c`, in [-1, 1]: the angle of -c.

    asin(r) = r + r z P(z), z = r^2 <= 1/4, P of degree 12 fitted at Chebyshev's points: 5e-18.
    Beyond 1/2 the angle is twice the arc sine of sqrt((1 - |c|) / 2), exact to the last
    digits where it is small.
    """
    a = abs(c)
    inner = a < 0.5
    z = c * c if inner else 0.5 - 0.5 * a
    r = a if inner else math.sqrt(z)
    p = 0.028757851367421566
    p = p * z - 0.014851887071247204
    p = p * z + 0.01740087944269402
    p = p * z + 0.005457506718640358
    p = p * z + 0.01032281435018578
    p = p * z + 0.011479177415184906
    p = p * z + 0.013971212973552933
    p = p * z + 0.017352392720869973
    p = p * z + 0.02237217294214989
    p = p * z + 0.030381944138531247
    p = p * z + 0.04464285714635543
    p = p * z + 0.07499999999998433
    p = p * z + 0.16666666666666669
    s = r + r * z * p
    half = 1.5707963267948966
    if_inner = half + (s if c > 0 else -s)
    outer = 2.0 * half - 2.0 * s if c > 0 else 2.0 * s
    return if_inner if inner else outer


@scalar
def cosine(k, size):
    """Return the cosine of two vectors by their inner product and the product of their norms."""
    c = k / size if size > 0 else 0.0  # nothing has no direction: it meets all at right angles
    c = 1.0 if c > 1.0 else c
    return -1.0 if c < -1.0 else c


@scalar
def step(k, size):
    """Return (pi - angle) / pi, twice the chance that a random direction agrees with both."""
    return supplement(cosine(k, size)) * (1 / math.pi)


@scalar
def ramp(k, size):
    """Return the inner product after a wide layer of rectifiers that keeps norms."""
    c = cosine(k, size)
    return size * ((math.sqrt((1.0 - c) * (1.0 + c)) + supplement(c) * c) * (1 / math.pi))
