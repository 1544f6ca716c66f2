"""What every measure of regions keeps, whatever it measures.

Regions in any order, anywhere in an image, on any number of threads give the same bits; turning
an image changes nothing where no direction is meant; degenerate regions raise nothing.
"""

from itertools import permutations, product
from typing import Any

import numba
import numpy as np
import pytest
from cases import CATALOGUE, full, legal
from hypothesis import given, settings, strategies as st

from medkern import kernels as mk
from medkern.kernels._regions import RegionMeasure

KERNELS = {name: k for name, k in CATALOGUE.items() if isinstance(k, RegionMeasure)}

LOOKS_OUTSIDE = {  # by definition, beyond the region
    *("local", "lbp", "hog", "granularity", "coherence", "lesion", "neighbours", "intensity"),
}
TURNS = {name for name, k in KERNELS.items() if "slices" in k.parameters} | {"histogram"}
TURNS_NEARLY = {"statistics", "ivh"}  # sums of pixels, in another order; so are means of slices

seeds = st.integers(0, 2**32 - 1)
densities = st.sampled_from([0.3, 0.8, 1.0])
tops = st.sampled_from([0, 3, 40])
few = settings(max_examples=8, deadline=None)


def over(names: Any) -> Any:
    """Parametrises over these kernels and the ranks they take."""
    return pytest.mark.parametrize(
        ("kernel", "rank"),
        [
            pytest.param(
                KERNELS[name], rank, id=f"{name}-{rank - 1}d", marks=pytest.mark.xdist_group(name)
            )
            for name in KERNELS
            if name in names
            for rank in KERNELS[name].ndim
        ],
    )


def scene(
    kernel: RegionMeasure, seed: int, shape: tuple[int, ...], density: float, top: int
) -> tuple[Any, Any]:
    """Images of a few values and masks, ragged unless dense."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, top, full(kernel, shape), endpoint=True).astype(dtype(kernel))
    return images, (rng.random(shape) < density).astype(np.uint8)


def dtype(kernel: RegionMeasure) -> str:
    return "float32" if "float32" in kernel.dtypes else kernel.dtypes[0]


def further(kernel: RegionMeasure, images: np.ndarray) -> dict[str, np.ndarray]:
    """The images that it needs beside these: each pixel a value that depends on it alone."""
    with np.errstate(invalid="ignore"):
        return dict.fromkeys(kernel.required, 3 * images % 5)


def measured(kernel: RegionMeasure, images: np.ndarray, where: Any = None, **chosen: Any) -> Any:
    return kernel(images, where, **chosen, **further(kernel, images))[0]


def examples(kernel: RegionMeasure) -> list[dict[str, Any]]:
    return [dict(e) for e in kernel.examples if legal(kernel, dtype(kernel), kernel.ndim[0], e)]


def same(got: np.ndarray, want: np.ndarray, kernel: RegionMeasure, chosen: Any) -> None:
    np.testing.assert_array_equal(got, want, f"{kernel.name} {chosen}")


# ---- where regions stand in the table, and in the image


@over(KERNELS)
@given(seed=seeds, top=tops)
@few
def test_the_order_of_regions_does_not_matter(kernel, rank, seed, top):
    shape = {3: (3, 12, 13), 4: (2, 3, 8, 9)}[rank]
    images, _ = scene(kernel, seed, shape, 1.0, top)
    rng = np.random.default_rng(seed)
    where = mk.regions(rng.integers(0, 5, shape, np.int32))
    shuffled = rng.permutation(len(where))
    for chosen in examples(kernel):
        want = measured(kernel, images, where, **chosen)
        got = measured(kernel, images, where.some(shuffled), **chosen)
        same(got, want[shuffled], kernel, chosen)


@over(set(KERNELS) - LOOKS_OUTSIDE)
@given(seed=seeds, density=densities, top=tops)
@few
def test_a_region_may_lie_anywhere_as_mask_label_or_window(kernel, rank, seed, density, top):
    sides = (7,) * (rank - 1)
    image, mask = scene(kernel, seed, (1, *sides), density, top)
    rng = np.random.default_rng(seed)
    shape = (1, *(side + 6 for side in sides))
    wide = rng.integers(0, 99, full(kernel, shape)).astype(dtype(kernel))
    corner = tuple(int(c) for c in rng.integers(0, 7, rank - 1))
    place = (0, *(slice(c, c + side) for c, side in zip(corner, sides, strict=True)))
    area, labels = np.zeros(shape, np.uint8), rng.integers(0, 3, shape, np.int32)
    wide[place], area[place] = image[0], mask[0]
    labels[place] = np.where(mask[0] != 0, 3, labels[place])
    objects = mk.regions(labels)
    third = objects.some(np.flatnonzero(objects.label == 3))
    grid = mk.windows(shape, 7)
    window = grid.some(np.flatnonzero((grid.table[:, 8 - 2 * len(sides) :: 2] == corner).all(1)))
    for chosen in examples(kernel):
        names = kernel.names(**kernel.resolve(chosen))
        stays = [k for k, name in enumerate(names) if ".bounding_box_" not in name]
        want = measured(kernel, image, mask, **chosen)[:, stays]
        same(measured(kernel, wide, area, **chosen)[:, stays], want, kernel, chosen)
        if mask.any():
            same(measured(kernel, wide, third, **chosen)[:, stays], want, kernel, chosen)
        want = measured(kernel, image, **chosen)[:, stays]
        same(measured(kernel, wide, window, **chosen)[:, stays], want, kernel, chosen)


# ---- turning


def turns(rank: int, planes: bool) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Axes and flips of all turns of a square or a cube; `planes`: slices stay slices."""
    orders = list(permutations(range(1, rank)))
    if planes and rank == 4:
        orders = [order for order in orders if order[0] == 1]
    flips = list(product((slice(None), slice(None, None, -1)), repeat=rank - 1))
    return [((0, *order), (slice(None), *flip)) for order in orders for flip in flips][1:]


@over(TURNS | TURNS_NEARLY)
@given(seed=seeds, density=densities, top=tops, data=st.data())
@few
def test_turning_an_image_changes_nothing(kernel, rank, seed, density, top, data):
    images, masks = scene(kernel, seed, {3: (2, 7, 8), 4: (2, 4, 7, 8)}[rank], density, top)
    for chosen in examples(kernel):
        if "directions" in kernel.parameters:
            chosen["directions"] = "merged"
        planes = chosen.get("slices", "volume") != "volume"
        axes, flip = data.draw(st.sampled_from(turns(rank, planes)))
        turned = [np.ascontiguousarray(a.transpose(axes)[flip]) for a in (images, masks)]
        want, got = (measured(kernel, *pair, **chosen) for pair in ((images, masks), turned))
        if kernel.name in TURNS and chosen.get("slices") != "averaged":
            same(got, want, kernel, (chosen, axes, flip))
        else:
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


# ---- threads


@over(KERNELS)
def test_any_number_of_threads_gives_the_same_bits(kernel, rank):
    shape = {3: (2, 150, 160), 4: (2, 8, 60, 64)}[rank]
    images, _ = scene(kernel, 5, shape, 1.0, 40)
    y, x = np.indices(shape[-2:]) // 20
    labels = np.broadcast_to((x + 8 * y + 1).astype(np.int32), shape).copy()
    labels[..., 0::20] = 0
    where, chosen = mk.regions(labels), examples(kernel)[0]
    default = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        want = measured(kernel, images, where, **chosen)
    finally:
        numba.set_num_threads(default)
    same(measured(kernel, images, where, **chosen), want, kernel, chosen)


# ---- degenerate regions


def odd_regions() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (5, 6) and masks that are hard to measure."""
    grey = np.random.default_rng(3).integers(0, 40, (5, 6)).astype(np.float32)
    found, everywhere = {}, np.ones((5, 6), np.uint8)

    def add(name: str, where: Any, image: np.ndarray = grey) -> None:
        mask = np.zeros((5, 6), np.uint8)
        mask[where] = 1
        found[name] = (image, mask)

    add("empty", [])
    add("one pixel", (2, 3))
    add("one pixel in a corner", (4, 5))
    add("two neighbours", (2, slice(2, 4)))
    add("two apart", ([0, 4], [0, 5]))
    add("one row", 2)
    add("one column", (slice(None), 5))
    add("a diagonal", (range(5), range(5)))
    add("the border", np.pad(np.zeros((3, 4), bool), 1, constant_values=True))
    add("all of it", everywhere != 0)
    add("flat", everywhere != 0, np.full_like(grey, 7))
    add("nothing but zeros", everywhere != 0, np.zeros_like(grey))
    add("two values", everywhere != 0, grey % 2)
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("far below", -np.inf)):
        add(f"all {name}", everywhere != 0, np.full_like(grey, value))
        add(f"partly {name}", everywhere != 0, np.where(grey > 20, value, grey))
    return found


@over(KERNELS)
def test_degenerate_regions_are_measured_like_any_other(kernel, rank):
    odd = odd_regions()
    depths = {3: (), 4: (1,)}[rank]
    images, masks = (
        np.stack([pair[k] for pair in odd.values()]).reshape(-1, *depths, 5, 6) for k in (0, 1)
    )
    if dtype(kernel) != "float32":
        images = np.nan_to_num(images, posinf=255, neginf=0).astype(dtype(kernel))
    if kernel.channels > 1:
        images = np.stack([images, images / 2, 255 - images], axis=-1).astype(images.dtype)
    batches = [(images, masks)]
    if rank == 4:
        batches.append((images.repeat(2, axis=1), masks.repeat(2, axis=1)))
    for (images, masks), chosen in product(batches, examples(kernel)):
        values = measured(kernel, images, masks, **chosen)
        settled = kernel.settle(images, kernel.resolve(chosen)) | further(kernel, images)
        with np.errstate(all="ignore"):
            want = kernel.reference(images, kernel.place(images, masks), **settled)
        for name, got, expected in zip(odd, values, want, strict=True):
            assert not np.isinf(got).any(), (kernel.name, chosen, name)
            allowed = 1e-3 * kernel.tolerance * float(np.nanmax(np.abs(expected), initial=1.0))
            what = f"{kernel.name} {chosen} {name}"
            np.testing.assert_allclose(got, expected, kernel.tolerance, allowed, err_msg=what)
