"""Granularity on the CPU: background, erosions, reconstructions and means; see `granularity.py`.

A mean over enlarged pixels is one over the pixels of the small image, each with the weight that the
region's pixels give it: the weights are made once and serve every size.
"""

import numpy as np

from .._cpu import compiled
from .._regions import ANY

NOISE = 1e-9


@compiled
def place(i, ratio, last):
    """Where sample i of an enlarged axis lies: the sample below, the one above, the way between."""
    at = min(max(i * ratio, 0.0), np.float64(last))
    below = np.int64(at)
    return below, min(below + 1, last), at - below


@compiled
def copy(source, step, out):
    """Every `step`-th pixel."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x] = source[y * step, x * step]


@compiled
def shrink(image, step, small):
    """Every `step`-th pixel; what is not finite is 0."""
    for y in range(small.shape[0]):
        for x in range(small.shape[1]):
            v = np.float64(image[y * step, x * step])
            small[y, x] = v if abs(v) < np.inf else 0.0


@compiled
def extreme(source, radius, sign, out):
    """Least (sign 1) or greatest (sign -1) pixel of the disk around each, as far as there are."""
    h, w = source.shape
    reach = np.empty(radius + 1, np.int64)
    for k in range(radius + 1):
        reach[k] = np.int64(np.sqrt(np.float64(radius * radius - k * k)))
    for y in range(h):
        for x in range(w):
            best = np.inf
            for j in range(max(y - radius, 0), min(y + radius + 1, h)):
                across = reach[abs(j - y)]
                for i in range(max(x - across, 0), min(x + across + 1, w)):
                    best = min(best, sign * source[j, i])
            out[y, x] = sign * best


@compiled
def subtract(small, back, ratio_y, ratio_x):
    """small = max(small - enlarged back, 0)."""
    bottom, right = back.shape[0] - 1, back.shape[1] - 1
    for y in range(small.shape[0]):
        y0, y1, down = place(y, ratio_y, bottom)
        for x in range(small.shape[1]):
            x0, x1, across = place(x, ratio_x, right)
            upper = back[y0, x0] + across * (back[y0, x1] - back[y0, x0])
            lower = back[y1, x0] + across * (back[y1, x1] - back[y1, x0])
            rest = small[y, x] - (upper + down * (lower - upper))
            small[y, x] = rest if rest > NOISE * abs(small[y, x]) else 0.0


@compiled
def erode(source, out):
    """The least of a pixel and its four neighbours."""
    h, w = source.shape
    for y in range(h):
        above, row, below = source[max(y - 1, 0)], source[y], source[min(y + 1, h - 1)]
        line = out[y]
        for x in range(w):
            line[x] = min(row[x], above[x], below[x])
        left, right, ends, begins = line[:-1], line[1:], row[1:], row[:-1]
        for x in range(w - 1):
            left[x] = min(left[x], ends[x])
        for x in range(w - 1):
            right[x] = min(right[x], begins[x])


@compiled
def sweep(found, under, y, before):
    """Row y takes what rows and pixels beside it hold, up to `under`; whether it changed."""
    row, limit, other = found[y], under[y], found[before]
    changed = False
    for x in range(row.size):
        more = min(limit[x], max(row[x], other[x]))
        changed |= more != row[x]
        row[x] = more
    held = row[0]
    for x in range(1, row.size):
        held = min(limit[x], max(row[x], held))
        changed |= held != row[x]
        row[x] = held
    held = row[row.size - 1]
    for x in range(row.size - 2, -1, -1):
        held = min(limit[x], max(row[x], held))
        changed |= held != row[x]
        row[x] = held
    return changed


@compiled
def reconstruct(found, under):
    """Dilates `found` under `under` until nothing changes: the result needs no order."""
    h, changed = found.shape[0], True
    while changed:
        changed = False
        for y in range(h):
            changed |= sweep(found, under, y, max(y - 1, 0))
        if not changed:
            return
        changed = False
        for y in range(h - 1, -1, -1):
            changed |= sweep(found, under, y, min(y + 1, h - 1))


@compiled
def weigh(image, labels, row, node, ratios, last, weights):
    """Weights of a region's box of small pixels; returns its mean and its number of pixels.

    The mean is that of the sums of its columns, each from above.
    """
    label, y0, y1, x0, x1 = row[1], row[4], row[5], row[6], row[7]
    weights[:] = 0.0
    pixels, sums = 0, np.zeros(x1 - x0)
    for y in range(y0, y1):
        up, below, down = place(y, ratios[0], last[0])
        up, below = up - node[0], below - node[0]
        for x in range(x0, x1):
            if labels.size:
                found = labels[y, x]
                if (found == 0) if label == ANY else (found != label):
                    continue
            v = np.float64(image[y, x])
            sums[x - x0] += v if abs(v) < np.inf else 0.0
            pixels += 1
            left, beside, across = place(x, ratios[1], last[1])
            left, beside = left - node[2], beside - node[2]
            weights[up, left] += (1.0 - down) * (1.0 - across)
            weights[up, beside] += (1.0 - down) * across
            weights[below, left] += down * (1.0 - across)
            weights[below, beside] += down * across
    total = 0.0
    for x in range(sums.size):
        total += sums[x]
    return total / pixels, pixels


@compiled
def weighted(found, weights, node):
    """Sum of a box of small pixels times their weights: sums of columns, each from above."""
    total = 0.0
    for x in range(weights.shape[1]):
        column = 0.0
        for y in range(weights.shape[0]):
            column += weights[y, x] * found[node[0] + y, node[2] + x]
        total += column
    return total


@compiled
def weigh_regions(image, labels, table, nodes, small, ratios, weights, means, pixels):
    """The weights of all regions of an image, their first means and numbers of pixels."""
    last, at = (small.shape[0] - 1, small.shape[1] - 1), 0
    for k in range(len(table)):
        node = nodes[k]
        rows, columns = node[1] - node[0], node[3] - node[2]
        box = weights[at : at + rows * columns].reshape(rows, columns)
        at += box.size
        if node[4]:
            box[:], pixels[k] = 1.0, box.size
            means[k] = weighted(small, box, node) / box.size
        else:
            means[k], pixels[k] = weigh(image, labels, table[k], node, ratios, last, box)


@compiled
def measure_images(first, stop, images, labels, table, nodes, begins, order, steps, radius, ratios,
                   values):  # fmt: skip
    """Images first .. stop - 1 of those that have regions: rows begins[i] .. begins[i + 1] - 1.

    order     rows of `values`
    nodes     int64 (m, 5): a region's box in the small image, and whether it is a whole image
    ratios    float64 (2, 2): samples of the small image a pixel, those of the background a sample
    """
    _, h, w = images.shape
    small = np.empty((-(-h // steps[0]), -(-w // steps[0])))
    back = np.empty((-(-small.shape[0] // steps[1]), -(-small.shape[1] // steps[1])))
    low, eroded, found = np.empty_like(back), np.empty_like(small), np.empty_like(small)
    for i in range(first, stop):
        rows, boxes = table[begins[i] : begins[i + 1]], nodes[begins[i] : begins[i + 1]]
        image = images[rows[0, 0]]
        cover = labels[rows[0, 0]] if labels.size else labels[0]
        shrink(image, steps[0], small)
        copy(small, steps[1], back)
        extreme(back, radius, 1.0, low)
        extreme(low, radius, -1.0, back)
        subtract(small, back, ratios[1, 0], ratios[1, 1])
        size = 0
        for node in boxes:
            size += (node[1] - node[0]) * (node[3] - node[2])
        weights, means = np.empty(size), np.empty(len(rows))
        pixels = np.empty(len(rows), np.int64)
        weigh_regions(image, cover, rows, boxes, small, ratios[0], weights, means, pixels)
        start = np.empty(len(rows))
        for r in range(len(rows)):
            start[r] = means[r]
        copy(small, 1, eroded)
        for k in range(values.shape[1]):
            erode(eroded, found)
            copy(found, 1, eroded)
            reconstruct(found, small)
            at = 0
            for r in range(len(rows)):
                node = boxes[r]
                high, wide = node[1] - node[0], node[3] - node[2]
                box = weights[at : at + high * wide].reshape(high, wide)
                at += box.size
                mean = weighted(found, box, node) / pixels[r]
                value = 100.0 * (means[r] - mean) / start[r]
                values[order[begins[i] + r], k] = value if start[r] > 0.0 else np.nan
                means[r] = mean
