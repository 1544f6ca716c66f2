"""Windows of the guided filter on the CPU: slabs pass one after the other, along the first axis.

A slab is a row of an image or a slice of a volume, as one line of pixels (of images a few side by
side). The moments of a set of pixels are the fields of an array:

    0  sum of G      1  sum of (G - mean)^2      2  sum of I      3  sum of (G - mean) (I - mean)

(0 and 1 when the image guides itself). Those of two sets give those of their union:

    sum (G - mean)^2  =  that of A  +  that of B  +  (mean of A - mean of B)^2 n_A n_B / (n_A + n_B)

a sum of squares, so nothing cancels. The windows of a and b are plain sums: the same functions, for
sets of no pixels.

The windows are made in an array (slabs, fields, pixels). Along the first axis they are the end of
one run of `side` slabs and the start of the next. Runs begin at multiples of the side, wherever a
block begins: so blocks do not show.
"""

import numpy as np

from .._inner import inner

# Numbers of slabs (two each of WORK and START), and other constants: not Python's integers, since
# Numba compiles a function anew for every such constant.
SINGLE, ACROSS, WORK, START, WINDOW, SLOTS = map(np.int64, (0, 1, 2, 4, 6, 7))
NO_PIXELS, PIXEL, NEXT, HERE = map(np.int64, (0, 1, 1, 0))
LANES = 16  # of a vector: rows begin where vectors do


@inner
def push(slabs, t, side, width, deep, pixels):
    """Slab t, which lies in SINGLE, is next; the number of that with the windows it completes.

    Slot j holds slab j of this run (the last one: slot `side`) or, until that comes, the union of
    slabs j - 1, j, ... of the run before.
    """
    j = t % side
    slot = SLOTS + (j if j < side - 1 else side)
    count = pixels * side
    if deep:
        _along(slabs, SINGLE, ACROSS, NEXT, side, pixels)
        _along(slabs, ACROSS, slot, width, side, count)
        count *= side
    else:
        _along(slabs, SINGLE, slot, NEXT, side, pixels)
    return _slide(slabs, t, j, slot, side, count)


@inner
def _along(slabs, single, result, step, side, count):
    """Windows of `side` elements, `step` apart, beginning at each element of `count` pixels.

    Sets are doubled, and one element is added where the binary form of `side` has a one.
    """
    length = slabs.shape[2]
    bit = 1
    while 2 * bit <= side:
        bit *= 2
    now, size, spare = single, 1, WORK
    while bit > 1:
        bit //= 2
        length -= size * step
        _unite(slabs, now, now, spare, size * step, length, size * count, size * count)
        now, size, spare = spare, 2 * size, 2 * WORK + 1 - spare
        if side & bit:
            to = result if bit == 1 else spare
            length -= step
            _unite(slabs, now, single, to, size * step, length, size * count, count)
            now, size, spare = to, size + 1, 2 * WORK + 1 - spare


@inner
def _slide(slabs, t, j, slot, side, count):
    """Add slab j to the start of its run, and to that the end of the run before."""
    length = slabs.shape[2]
    start, rest = slot, side - 1 - j
    if j > 0:
        before = SLOTS if j == 1 else START + (t - 1) % 2
        start = START + t % 2
        _unite(slabs, before, slot, start, HERE, length, j * count, count)
    if rest > 0:
        end = SLOTS + j + 2
        _unite(slabs, end, start, WINDOW, HERE, length, rest * count, (j + 1) * count)
        return WINDOW
    for k in range(side - 2, 0, -1):
        ahead = SLOTS + k
        size = (side - 1 - k) * count
        _unite(slabs, ahead, ahead + 2, ahead + 1, HERE, length, count, size)
    return start


@inner
def _unite(slabs, a, b, union, shift, length, size_a, size_b):
    """Sets of size_a pixels, and of size_b pixels `shift` elements on -> their unions."""
    stop = shift + length
    if size_a == 0:
        for k in range(slabs.shape[1]):
            _add(slabs[a, k][:length], slabs[b, k][shift:stop], slabs[union, k][:length])
        return
    n_a, n_b = np.float32(size_a), np.float32(size_b)
    of_a, of_b = np.sqrt(n_b / (n_a * (n_a + n_b))), np.sqrt(n_a / (n_b * (n_a + n_b)))
    by_a, by_b = slabs[a, 0][:length], slabs[b, 0][shift:stop]
    square_a, square_b = slabs[a, 1][:length], slabs[b, 1][shift:stop]
    total, square = slabs[union, 0][:length], slabs[union, 1][:length]
    _unite_squares(by_a, by_b, square_a, square_b, total, square, of_a, of_b)
    if slabs.shape[1] == 4:
        sum_a, sum_b = slabs[a, 2][:length], slabs[b, 2][shift:stop]
        product_a, product_b = slabs[a, 3][:length], slabs[b, 3][shift:stop]
        product = slabs[union, 3][:length]
        _add(sum_a, sum_b, slabs[union, 2][:length])
        _unite_products(by_a, by_b, sum_a, sum_b, product_a, product_b, product, of_a, of_b)


@inner
def _unite_squares(sum_a, sum_b, square_a, square_b, total, square, of_a, of_b):
    for i in range(total.size):
        one, other = sum_a[i], sum_b[i]
        apart = one * of_a - other * of_b
        square[i] = square_a[i] + square_b[i] + apart * apart
        total[i] = one + other


@inner
def _unite_products(by_a, by_b, sum_a, sum_b, product_a, product_b, product, of_a, of_b):
    for i in range(product.size):
        by = by_a[i] * of_a - by_b[i] * of_b
        apart = sum_a[i] * of_a - sum_b[i] * of_b
        product[i] = product_a[i] + product_b[i] + by * apart


@inner
def _add(a, b, total):
    for i in range(total.size):
        total[i] = a[i] + b[i]
