"""Scalar helpers of interpolation, shared by the CPU and the CUDA builds.

All arguments have the float type of the result, so that no build widens a number.
"""

from ._jit import scalar

__all__ = ["blend", "rescale"]


@scalar
def rescale(value, slope, intercept, low, high):
    """Return clip(value * slope + intercept, low, high); NaN stays NaN."""
    # One bound after the other, each of the form that is a single instruction.
    result = value * slope + intercept
    result = low if result < low else result
    return high if result > high else result


@scalar
def blend(a, b, weight):
    """Return a + (b - a) * weight: a at weight 0, and exact where a equals b."""
    return a + (b - a) * weight
