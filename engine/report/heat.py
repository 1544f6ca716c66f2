"""Maps over pictures: colours of even steps for every eye, as PNG data URIs.

Colours are mixed in OKLab, in which equal distances look equally large. Lightness rises along the
sequential colours without a turn, and the two ends of the signed ones are blue and orange: both
are read alike with and without the common colour blindnesses, and in grey.

Source: Ottosson, A perceptual color space for image processing, 2020 (OKLab).
"""

from __future__ import annotations

import base64

import numpy as np

from .picture import png

# lightness, chroma and hue (degrees) along the sequential colours
_PATH = ((0.30, 0.13, 280), (0.48, 0.18, 325), (0.68, 0.17, 35), (0.92, 0.15, 100))
_LESS, _MORE = (0.62, 0.16, 250), (0.78, 0.16, 62)  # of values below and above 0
_OPAQUE = 0.85  # share of the colour at the map's end

_TO_LMS = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def sequential(values: np.ndarray) -> np.ndarray:
    """OKLab colours (..., 3) of values 0 .. 1, equal steps equally far apart."""
    path = _lab(np.array(_PATH))
    fine = np.stack(
        [np.interp(np.linspace(0, 3, 301), range(len(path)), axis) for axis in path.T], axis=1
    )
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1)))
    wanted = np.clip(values, 0, 1) * along[-1]
    return np.stack([np.interp(wanted, along, axis) for axis in fine.T], axis=-1)


def signed(values: np.ndarray) -> np.ndarray:
    """OKLab colours (..., 3): one for values below 0, another for those above."""
    less, more = _lab(np.array([_LESS, _MORE]))
    return np.where(np.asarray(values)[..., None] < 0, less, more)


def over(grey: np.ndarray, heat: np.ndarray, both: bool = False, enlarge: int = 0) -> str:
    """A data URI of a map over a picture.

    grey     (h, w) 0 .. 1
    heat     (h, w) 0 .. 1, or -1 .. 1 where `both` signs have a colour; the more, the less of the
             picture shows through
    enlarge  each pixel is repeated until the shorter side has that many
    """
    heat = np.clip(heat, -1, 1)
    colour = signed(heat) if both else sequential(heat)
    share = _OPAQUE * np.abs(heat)[..., None]
    return _uri((1 - share) * _of_grey(grey) + share * colour, enlarge)


def legend(both: bool = False) -> str:
    """A data URI of the colours over middle grey, from the least to the greatest value."""
    ramp = np.linspace(-1 if both else 0, 1, 128)[None].repeat(10, 0)
    return over(np.full(ramp.shape, 0.45), ramp, both)


def rgb(lab: np.ndarray) -> np.ndarray:
    """sRGB uint8 (..., 3) of OKLab colours; what no screen can show is cut."""
    linear = np.clip((lab @ _TO_LMS.T) ** 3 @ _TO_RGB.T, 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * curve + 0.5).astype(np.uint8)


def _lab(lch: np.ndarray) -> np.ndarray:
    lightness, chroma, hue = lch.T
    angle = np.deg2rad(hue)
    return np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)


def _of_grey(grey: np.ndarray) -> np.ndarray:
    """OKLab of sRGB greys 0 .. 1."""
    linear = np.where(grey <= 0.04045, grey / 12.92, ((grey + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear)[..., None] * np.array([1.0, 0, 0])


def _uri(lab: np.ndarray, enlarge: int) -> str:
    times = max(1, -(-enlarge // max(1, min(lab.shape[:2]))))
    colours = rgb(lab).repeat(times, 0).repeat(times, 1)
    return "data:image/png;base64," + base64.b64encode(png(colours)).decode()
