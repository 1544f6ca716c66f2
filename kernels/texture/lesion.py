"""The ABCD measures of skin lesions: asymmetry, border, colours and diameter of coloured regions.

    asymmetry = 1 - |R and R mirrored about an axis| / |R|        R: the pixels of the region

The axes are the principal ones through the centroid; a pixel's mirror image is the pixel nearest to
the mirrored place of its centre. The colours of the two sides of an axis are compared by their
means, pixels on the axis in neither. The inner rim are the pixels of the region no farther than
`rim` from a pixel of the image outside, the outer rim those around the region, of no other one, no
farther from it; brightness is (R + G + B) / 3, and eight sectors lie between the axes and their
bisectors. The outline are the region's pixels with a side on the outside. Each pixel has that of
six colours to which it is nearest in RGB, values of 16 bits as their upper 8:

    white 197 188 217    red 118 21 17            light brown 163 82 16
    black 41 31 30       dark brown 135 44 5      blue-grey 113 108 139

images      (n, h, w, 3) uint8 or uint16, RGB
regions     masks, one lesion an image; or `Regions` of labelled objects or windows
values      float32 (regions, 32); computed in float64 from integers. Form factor, solidity and the
            diameters are those of shape2d
borders     a rim ends at the image's border, which is no border of the region: a sector without an
            inner and an outer rim is left out. Outline and perimeter take it for one
cost        about 100 operations a pixel inside. Workspace: 2 bytes a pixel of the largest box and
            rims a thread; on the GPU 1 byte a pixel of all boxes and rims. The GPU's sums come back
            in one transfer, and the last quotients are the host's
nan         an empty region: all NaN. A region without an outer rim (the whole image): NaN in the
            relative colours and border steps; without a pixel on one side of an axis: in that
            colour asymmetry; one pixel: in form factor and radial irregularity. A round region has
            the image's axes, a black one variegation 0
source      Stolz et al. 1994, Eur. J. Dermatol. 4, 521-527, and Nachbar et al. 1994, J. Am. Acad.
            Dermatol. 30(4), for the rule; Celebi et al. 2007, Comput. Med. Imaging Graph. 31(6),
            for asymmetry and relative colours; Kasmi and Mokrani 2016, IET Image Process. 10(6),
            for the six colours
"""

from typing import Any

import numpy as np
from scipy import ndimage

from .. import _cuda
from .._cpu import frozen_view
from .._kernel import Cost, Quality
from .._parameter import Parameter
from .._regions import RegionMeasure
from .._threads import run
from . import shape2d as shapes
from ._lesion_features import FEATURES, TOTAL, describe
from ._lesion_sums import PROTOTYPES, add_up
from ._levels import BLOCKS, on_device
from ._shape2d_features import FLAT

_source = _cuda.Cuda(__file__)

SHAPES = [
    shapes.columns().index(f"shape2d.{name}")
    for name in ("form_factor", "solidity", "max_feret_diameter", "equivalent_diameter")
]
WORTH_A_THREAD = 1 << 14  # pixels


# ---- the definition


def reference(images, where, *, rim, least_share):
    """The definition in plain NumPy and SciPy, float64."""
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (_, inside), box, out in zip(where.crops(images), where.table, values, strict=True):
        if inside.any():
            image, mask = images[box[0]], np.zeros(where.shape[1:], bool)
            mask[box[4] : box[5], box[6] : box[7]] = inside[0]
            skin = ~mask if where.labels is None else ~mask & (where.labels[box[0]] <= 0)
            out[:] = formulas(image, mask, skin, rim, least_share)
    return values.astype(np.float32)


def formulas(image, mask, skin, rim, least_share):
    """The features of one region of an image (h, w, 3)."""
    whole, part = centre(mask)
    axis, double = axes(mask)
    form_factor, solidity, feret, diameter = np.array(shapes.formulas(mask, 0, 0))[SHAPES]
    folded = [1 - share_mirrored(mask, sense * double) for sense in (1, -1)]
    colours = image[mask].astype(np.float64)
    along, across = sides(mask, whole, part, axis)
    halves = np.array([apart(colours, across), apart(colours, along)])
    inner, outer = mask & near(~mask, rim), skin & near(mask, rim)
    steps = border_steps(image.astype(np.float64).mean(axis=2), inner, outer, whole, part, axis)
    around = image[outer].mean(axis=0) if outer.any() else np.full(3, np.nan)
    shares = colour_shares(image, mask)
    highest = colours.max(axis=0)
    return [
        *folded, np.mean(folded), *halves, halves.mean(),
        form_factor, solidity, irregularity(mask, whole, part),
        np.mean(steps) if steps else np.nan, np.std(steps) if steps else np.nan,
        *colours.mean(axis=0), *colours.std(axis=0), *(colours.mean(axis=0) - around),
        *(colours.std(axis=0) / np.maximum(highest, 1)),
        *shares, (shares >= least_share).sum(), feret, diameter,
    ]  # fmt: skip


def centre(mask):
    """The centroid as whole numbers and fractions."""
    places = np.argwhere(mask)
    whole, rest = divmod(places.sum(axis=0), len(places))
    return whole, rest / len(places)


def axes(mask):
    """The major axis as a direction (y, x), and the cosine and sine of twice its angle from y."""
    whole, part = centre(mask)
    places = np.argwhere(mask) - whole
    mu = places.T @ places - np.outer(part, places.sum(axis=0))
    difference, mixed, total = mu[0, 0] - mu[1, 1], 2 * mu[0, 1], mu[0, 0] + mu[1, 1]
    spread = np.sqrt(difference**2 + mixed**2)
    double = np.array([1.0, 0.0])
    if spread > FLAT * total:
        double = np.array([difference, mixed]) / spread
    cos, sin = np.sqrt(max(1 + double[0], 0.0) / 2), np.sqrt(max(1 - double[0], 0.0) / 2)
    return np.array([cos, -sin if double[1] < 0 else sin]), double


def share_mirrored(mask, double):
    """Share of the pixels whose mirror image is in the region."""
    whole, part = centre(mask)
    dy, dx = ((np.argwhere(mask) - whole) - part).T
    cos, sin = double
    mirrored = np.column_stack([cos * dy + sin * dx, sin * dy - cos * dx])
    places = whole + np.floor(part + mirrored + 0.5).astype(int)
    legal = ((places >= 0) & (places < mask.shape)).all(axis=1)
    return mask[tuple(places[legal].T)].sum() / mask.sum()


def sides(mask, whole, part, axis):
    """How far each pixel of a mask lies from the centroid along the major axis, and across it."""
    dy, dx = ((np.argwhere(mask) - whole) - part).T
    cos, sin = axis
    return cos * dy + sin * dx, cos * dx - sin * dy


def apart(colours, side):
    """Distance of the mean colours on both sides of an axis."""
    if not (side > 0).any() or not (side < 0).any():
        return np.nan
    return np.linalg.norm(colours[side > 0].mean(axis=0) - colours[side < 0].mean(axis=0))


def near(mask, rim):
    """The pixels no farther than the rim's width from a pixel of the mask."""
    distance: Any = ndimage.distance_transform_edt(~mask) if mask.any() else np.inf
    return distance <= rim


def border_steps(brightness, inner, outer, whole, part, axis):
    """Outer less inner rim's mean brightness, in the sectors that have both."""
    means = []
    for mask in (inner, outer):
        along, across = sides(mask, whole, part, axis)
        sector = 4 * (along < 0) + 2 * (across < 0) + (abs(across) > abs(along))
        means.append([brightness[mask][sector == s] for s in range(8)])
    return [o.mean() - i.mean() for i, o in zip(*means, strict=True) if i.size and o.size]


def colour_shares(image, mask):
    """Share of the pixels nearest to each of the six colours."""
    colours = image[mask].astype(np.int64) >> 8 * (image.itemsize - 1)
    squares = ((colours[:, None] - PROTOTYPES) ** 2).sum(axis=2)
    return np.bincount(squares.argmin(axis=1), minlength=len(PROTOTYPES)) / len(colours)


def irregularity(mask, whole, part):
    """Standard deviation over mean of the outline's distances from the centroid."""
    outline = mask & ~np.asarray(ndimage.binary_erosion(mask))
    distance = np.linalg.norm((np.argwhere(outline) - whole) - part, axis=1)
    return distance.std() / distance.mean() if distance.any() else np.nan


# ---- CPU


def canvas(images, where):
    """What shape2d takes for images: any array of their grid."""
    return where.labels if where.labels is not None else _cuda.empty(images, where.shape, np.uint8)


def cpu(images, where, values, *, rim, least_share):
    """`reference` from integer sums."""
    found = np.empty((len(where), len(shapes.FEATURES)), np.float32)
    shapes.cpu(canvas(images, where), where, found)
    totals = np.empty((len(where), TOTAL), np.int64)
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    shift = 8 * (images.itemsize - 1)
    least = 1 + WORTH_A_THREAD // (1 + int(where.sizes.prod(axis=1).mean()))
    run(
        add_up, len(where), images, frozen_view(labels), where.table, rim, shift, totals,
        least=least,
    )  # fmt: skip
    describe(0, len(where), totals, found[:, SHAPES], least_share, values)


# ---- GPU: a block of threads a region sums, the host divides


def gpu(images, where, values, *, rim, least_share):
    """`reference`: one launch for the sums of all regions, one for their shapes."""
    found = _cuda.empty(images, (len(where), len(shapes.FEATURES)), np.float32)
    shapes.gpu(canvas(images, where), where, found)
    cells = (where.sizes[:, 1:] + 2 * rim).prod(axis=1)
    totals = _cuda.empty(images, (len(where), TOTAL), np.int64)
    steps = _cuda.empty(images, (max(int(cells.sum()), 1),), np.uint8)
    boxes = where.labels is None
    labels = images if boxes else where.labels
    _source.function("add_up", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=boxes)(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, np.cumsum(cells) - cells), steps, totals, len(where),
        *where.shape[1:], rim, 8 * (images.itemsize - 1),
    )  # fmt: skip
    back = [array if isinstance(array, np.ndarray) else array.get() for array in (totals, found)]
    measured = np.empty((len(where), len(FEATURES)), np.float32)
    describe(0, len(where), back[0], back[1][:, SHAPES], least_share, measured)
    if isinstance(values, np.ndarray):
        values[...] = measured
    else:
        values.set(measured)


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """Sums of distances and of squares fit 64 bits."""
    if np.prod(shape[1:], dtype=np.int64) > 2**25:
        raise ValueError(f"lesion: an image may have 2^25 pixels, got one of {shape[1:]}")


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"lesion.{feature.name}" for feature in FEATURES)


lesion = RegionMeasure(
    name="lesion",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    channels=3,
    dtypes=("uint8", "uint16"),
    parameters={
        "rim": Parameter(8, "width of the rims on both sides of the border", 1, 64, unit="px"),
        "least_share": Parameter(0.05, "of the area, for a colour to be counted", 0.0, 1.0),
    },
    examples=({}, {"rim": 3, "least_share": 0.2}),
    tolerance=1e-6,
    cost=lambda itemsize, **_: Cost(bytes=3 * itemsize + 1, operations=100),
    peers=("skimage.measure:regionprops, scipy.ndimage",),
    quality=Quality(
        registers=112,
        sector_efficiency=0.4,
        float64=True,
        excuse="mirrored places are float64, the same bits as on the CPU; colours lie three values "
        "apart, and mirror images are looked up wherever they fall",
    ),
)
