"""Cosine, sine and exponential of arrays, with the same bits on every processor.

Library versions differ in the last bit between instruction sets, and so may the token that is sampled from their results.
This module uses only +, -, * and rounding to an integer, whose results IEEE 754 defines exactly. Each is a separate numpy
operation, so no compiler can fuse two of them.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Floats = TypeVar("Floats", npt.NDArray[np.float32], npt.NDArray[np.float64])

_CHUNK = 16 * 1024
"""Values per pass of the exponential, so that they stay in the processor's cache."""

_HALF_PI_HIGH, _HALF_PI_LOW = 1.57079632673412561417, 6.07710050650619224932e-11
"""pi/2; the high part has 33 bits, so that its product with up to 2^20 quarter turns is exact."""

# Polynomials of Sun's fdlibm 5.3 (1993), k_sin.c and k_cos.c, for |x| <= pi/4; their error is below 2^-57.
_SINE = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
_COSINE = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)

LEAST_EXPONENT = -87.0
"""Below it `exp_negative` is 0."""
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6
"""The high part has 15 bits, so that its product with an exponent is exact in float32 as well (Moshier's Cephes)."""
_TERMS = {4: 8, 8: 14}
"""Terms of the Taylor series by item size in bytes: enough for |x| <= ln(2) / 2."""


def cos_sin(angles: Float64) -> tuple[Float64, Float64]:
    """Cosine and sine of angles below 2^20 in absolute value; after rounding to float32 they are correctly rounded."""
    quarters = np.rint(angles * (2 / math.pi))
    rest = angles - quarters * _HALF_PI_HIGH
    rest -= quarters * _HALF_PI_LOW
    square = rest * rest
    sine = _polynomial(square, _SINE)
    sine *= square
    sine *= rest
    sine += rest  # x + x^3 S(x^2)
    cosine = _polynomial(square, _COSINE)
    cosine *= square
    cosine *= square
    cosine -= 0.5 * square
    cosine += 1.0  # 1 - x^2/2 + x^4 C(x^2)
    turn = quarters.astype(np.int64) & 3  # cos: c -s -c s; sin: s c -s -c
    is_odd = (turn & 1).astype(np.bool_)
    cos, sin = np.where(is_odd, sine, cosine), np.where(is_odd, cosine, sine)
    np.negative(cos, out=cos, where=(turn == 1) | (turn == 2))
    np.negative(sin, out=sin, where=turn >= 2)
    return cos, sin


def exp_negative(x: Floats) -> Floats:
    """e^x for x [n] <= 0, in the dtype of x (float32 or float64); accurate to a few units in the last place."""
    out = np.empty_like(x)
    for begin in range(0, len(x), _CHUNK):
        _exp(x[begin : begin + _CHUNK], out[begin : begin + _CHUNK])
    out[x < LEAST_EXPONENT] = 0
    return out


def _exp(x: Floats, out: Floats) -> None:
    """2^n e^rest, where x = n ln(2) + rest."""
    x = np.maximum(x, x.dtype.type(LEAST_EXPONENT))
    exponents = x * x.dtype.type(1 / math.log(2))
    np.rint(exponents, out=exponents)
    x -= exponents * x.dtype.type(_LN2_HIGH)
    x -= exponents * x.dtype.type(_LN2_LOW)
    coefficients = [x.dtype.type(1 / math.factorial(k)) for k in reversed(range(_TERMS[x.itemsize]))]
    np.multiply(x, coefficients[0], out=out)
    for coefficient in coefficients[1:-1]:
        out += coefficient
        out *= x
    out += coefficients[-1]
    mantissa_bits = np.finfo(x.dtype).nmant
    bits = exponents.astype(f"int{8 * x.itemsize}")
    bits += np.finfo(x.dtype).maxexp - 1  # the bias of stored exponents
    bits <<= mantissa_bits
    out *= bits.view(x.dtype)


def _polynomial(x: Float64, coefficients: tuple[float, ...]) -> Float64:
    """The sum of coefficients[i] * x^i by Horner's rule."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= x
        total += coefficient
    return total
