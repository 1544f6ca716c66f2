"""Colours: sRGB as linear light and CIE L*a*b*, HSV, optical densities.

    linear light   c = u / 12.92 for u <= 0.04045, else ((u + 0.055) / 1.055)^2.4,    u = v / 255
    CIE XYZ        (X / X_n, Y / Y_n, Z / Z_n) = M (red, green, blue);  (1, 1, 1) is white, D65
    CIE L*a*b*     L* = 116 f(Y/Y_n) - 16    a* = 500 (f(X/X_n) - f(Y/Y_n))
                   b* = 200 (f(Y/Y_n) - f(Z/Z_n))
                   f(t) = t^(1/3) for t > (6/29)^3, else t / (3 (6/29)^2) + 4/29
    HSV            value = max(r, g, b)    saturation = (max - min) / max    hue: sixths of a turn
                   from red, (g - b) / (max - min), from green 2 + ..., from blue 4 + ...
    density        D = -log10 max(v / 255, 10^-6)
    stains         amounts A >= 0 of D = A S, the rows of S being the densities of each stain alone

linear light 0..1; L* 0..100, a* -86.2..98.3, b* -107.9..94.5 (all of sRGB); hue 0 (red) to below 1,
saturation 0..1, both 0 for grey; density 0..2.41, of black 6.

Each is defined once, in float32: NumPy takes the functions with arrays, compiled code with numbers.
They use + - * / alone, which IEEE 754 rounds in one way, so that both give the same bits, and so
does their twin, `_colour.cuh`. L* a* b* are within 2e-4 of scikit-image,
amounts of stains within 3e-6 of its own times 6, the others within 2e-7.

source  IEC 61966-2-1 (sRGB); ITU-R BT.709 primaries, six digits; CIE 15:2004 (L*a*b*);
        Smith 1978, SIGGRAPH (HSV); Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23(4)
        (stains); G. Landini, Colour Deconvolution (further vectors)
"""

from functools import cache
from typing import Any

import numpy as np
from numba.extending import overload, register_jitable

from ._cpu import frozen_view

WHITE = 255
_XYZ_OF_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_D65 = np.array([0.95047, 1.0, 1.08883])  # for the 2 degree observer
_MATRIX = (_XYZ_OF_RGB / _D65[:, None]).astype(np.float32)
(_XR, _XG, _XB), (_YR, _YG, _YB), (_ZR, _ZG, _ZB) = _MATRIX

_ZERO, _ONE, _TWO, _FOUR, _SIX = (np.float32(k) for k in (0, 1, 2, 4, 6))
_16, _116, _200, _500 = (np.float32(k) for k in (16, 116, 200, 500))
_KNEE = np.float32((6 / 29) ** 3)
_SLOPE, _START = np.float32(29**2 / (3 * 6**2)), np.float32(4 / 29)
_THIRD_OF_BIAS = np.int32(709921077)  # 2/3 of the exponent's offset, 127 * 2^23, less a little


# ---- tables of the 256 pixel values


@cache
def linear_light() -> np.ndarray:
    """Linear light (256,) float32 of an sRGB pixel."""
    u = np.arange(WHITE + 1) / WHITE
    light = np.where(u <= 0.04045, u / 12.92, ((u + 0.055) / 1.055) ** 2.4)
    return frozen_view(light.astype(np.float32))


@cache
def density() -> np.ndarray:
    """Optical density (256,) float32 of a pixel."""
    u = np.arange(WHITE + 1) / WHITE
    return frozen_view(-np.log10(np.maximum(u, 1e-6)).astype(np.float32) + _ZERO)


# ---- stains

_HAEMATOXYLIN, _DAB = (0.650, 0.704, 0.286), (0.268, 0.570, 0.776)
_OF_STAINS = {  # red, green and blue density of each; of two, the residual is at right angles
    "H-E-DAB": {
        "haematoxylin": (0.65, 0.70, 0.29), "eosin": (0.07, 0.99, 0.11), "dab": (0.27, 0.57, 0.78),
    },
    "H-E": {
        "haematoxylin": (0.644211, 0.716556, 0.266844), "eosin": (0.092789, 0.954111, 0.283111),
    },
    "H-DAB": {"haematoxylin": _HAEMATOXYLIN, "dab": _DAB},
    "H-AEC": {"haematoxylin": _HAEMATOXYLIN, "aec": (0.2743, 0.6796, 0.6803)},
    "H-PAS": {
        "haematoxylin": (0.644211, 0.716556, 0.266844), "pas": (0.175411, 0.972178, 0.154589),
    },
    "Giemsa": {
        "methyl_blue": (0.834750233, 0.513556283, 0.196330403),
        "eosin": (0.092789, 0.954111, 0.283111),
    },
    "Masson": {
        "methyl_blue": (0.7995107, 0.5913521, 0.10528667),
        "ponceau": (0.09997159, 0.73738605, 0.6680326),
    },
}  # fmt: skip
STAINS = tuple(_OF_STAINS)


def stain_names(stains: str) -> tuple[str, ...]:
    """The three stains of a choice of `STAINS`."""
    return (*_OF_STAINS[stains], "residual")[:3]


@cache
def stain_weights(stains: str) -> np.ndarray:
    """Row k (3, 3) float32: what `stain` takes for stain k, of the inverse of S."""
    vectors = [np.array(densities) for densities in _OF_STAINS[stains].values()]
    if len(vectors) == 2:
        vectors.append(np.cross(vectors[0], vectors[1]))
    return frozen_view(np.linalg.inv(vectors).T.astype(np.float32))


# ---- functions of float32 arrays, or of float32 numbers in compiled code

_arithmetic = register_jitable(error_model="numpy", forceinline=True)  # inlined: vector code


def choose(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b."""
    return np.where(condition, a, b)


@overload(choose, inline="never")
def _choose(condition, a, b):
    return lambda condition, a, b: a if condition else b


@_arithmetic
def cube_root(x):
    """Of 2^-90 < x < 2^90, relative error below 2.5e-7: a third of the bits, Halley's step twice.

    source  W. Kahan 1991, Computing a Real Cube Root
    """
    root = np.int32(np.float32(x).view(np.int32) // np.int32(3) + _THIRD_OF_BIAS).view(np.float32)
    cube = root * root * root
    root = root * ((cube + x) + x) / ((cube + cube) + x)
    cube = root * root * root
    return root * ((cube + x) + x) / ((cube + cube) + x)


@_arithmetic
def _perceived(t):
    """f(t) of L*a*b*."""
    bright = t > _KNEE
    return choose(bright, cube_root(choose(bright, t, _KNEE)), t * _SLOPE + _START)


@_arithmetic
def to_lab(red, green, blue):
    """L*, a*, b* of linear light."""
    x = _perceived((_XR * red + _XG * green) + _XB * blue)
    y = _perceived((_YR * red + _YG * green) + _YB * blue)
    z = _perceived((_ZR * red + _ZG * green) + _ZB * blue)
    return _116 * y - _16, _500 * (x - y), _200 * (y - z)


@_arithmetic
def to_hsv(red, green, blue):
    """Hue, saturation and value of colours in any unit; the value is in that unit."""
    most = choose(red > green, red, green)
    most = choose(most > blue, most, blue)
    least = choose(red < green, red, green)
    least = choose(least < blue, least, blue)
    spread = most - least
    grey = spread == _ZERO
    from_blue, from_green = most == blue, most == green
    start = choose(from_blue, _FOUR, choose(from_green, _TWO, _ZERO))
    rest = choose(from_blue, red - green, choose(from_green, blue - red, green - blue))
    sixths = start + rest / choose(grey, _ONE, spread)
    hue = choose(sixths < _ZERO, sixths + _SIX, sixths) / _SIX
    return choose(grey, _ZERO, hue), spread / choose(most == _ZERO, _ONE, most), most


@_arithmetic
def stain(red, green, blue, weights):
    """The amount of one stain, at least 0, of optical densities; its weights (3,) float32."""
    amount = (red * weights[0] + green * weights[1]) + blue * weights[2]
    return choose(amount > _ZERO, amount, _ZERO)
