"""The smallest circle around the pixels of an object, exact up to its last division.

Of every row only the first and the last pixel can lie on it. Every other pixel V sees a side P Q of
their hull under an angle; the circle through P, Q and the V of the least angle holds all. If that
angle is right or wider, P and Q alone define the smallest circle; if the triangle has no wider
angle, it is this one; else its longest side takes the place of P Q. Coordinates are whole numbers:
angles are compared without rounding.

source  Chrystal 1884, Proceedings of the Edinburgh Mathematical Society 3, 30-33
"""

from itertools import combinations

import numpy as np

from .._cpu import compiled

NO_ROW = -1  # in `ends`: a row without pixels


# ---- the definition


def smallest_circle(points):
    """Centre (y, x) and radius: circles of few points grow until all points (n, 2) are inside."""
    support = points[:1]
    while True:
        centre, radius = around(support)
        distance = np.hypot(*(points - centre).T)
        if distance.max() <= radius * (1 + 1e-12):
            return centre, radius
        some = np.vstack([support, points[distance.argmax()]])
        _, most = around(some)
        for size in (2, 3):
            for chosen in combinations(some, size):
                centre, radius = around(np.array(chosen))
                if abs(radius - most) <= 1e-12 * most:
                    support = np.array(chosen)


def around(points):
    """The smallest circle of up to four points: one through two or three of them."""
    if len(points) == 1:
        return points[0].astype(float), 0.0
    found = []
    for p, q in combinations(points, 2):
        found.append(((p + q) / 2, np.hypot(*(p - q)) / 2))
    for p, q, v in combinations(points, 3):
        a, b = q - p, v - p
        if twice := 2.0 * (a[0] * b[1] - a[1] * b[0]):
            to = np.array([b[1] * (a @ a) - a[1] * (b @ b), a[0] * (b @ b) - b[0] * (a @ a)])
            found.append((p + to / twice, np.hypot(*to) / abs(twice)))
    holding = [
        (centre, radius)
        for centre, radius in found
        if np.hypot(*(points - centre).T).max() <= radius * (1 + 1e-12)
    ]
    return min(holding, key=lambda circle: circle[1])


# ---- CPU


@compiled
def side_of_hull(ends):
    """P: the first pixel of all; Q: all others lie to one side of the line through both."""
    py = 0
    while ends[py, 0] == NO_ROW:
        py += 1
    px = ends[py, 0]
    qy, qx = py, px
    for y in range(py, len(ends)):
        for k in range(2):
            x = ends[y, k]
            if x == NO_ROW or (y == py and x == px):
                continue
            turn = (qx - px) * (y - py) - (qy - py) * (x - px)
            farther = (y - py) ** 2 + (x - px) ** 2 > (qy - py) ** 2 + (qx - px) ** 2
            if (qy == py and qx == px) or turn < 0 or (turn == 0 and farther):
                qy, qx = y, x
    return py, px, qy, qx


@compiled
def narrowest(ends, py, px, qy, qx):
    """The pixel that sees P Q under the least angle, and its cotangent as dot / cross."""
    vy, vx, best, over = -1, -1, np.int64(-1), np.int64(0)
    for y in range(len(ends)):
        for k in range(2):
            x = ends[y, k]
            if x == NO_ROW or (y == py and x == px) or (y == qy and x == qx):
                continue
            dot = (py - y) * (qy - y) + (px - x) * (qx - x)
            cross = abs((px - x) * (qy - y) - (py - y) * (qx - x))
            if vy < 0 or dot * over > best * cross:
                vy, vx, best, over = y, x, dot, cross
    return vy, vx, best


@compiled
def enclosing_circle(ends):
    """A pixel y, x, the way from there to the centre, and the radius.

    So told, the circle has the same bits wherever the object lies. ends int64 (rows, 2): first and
    last pixel of each row, or NO_ROW.
    """
    py, px, qy, qx = side_of_hull(ends)
    while True:
        vy, vx, dot = narrowest(ends, py, px, qy, qx)
        ay, ax, by, bx = qy - py, qx - px, vy - py, vx - px
        if vy < 0 or dot <= 0:
            y, x = ay / 2.0, ax / 2.0
            break
        if ay * by + ax * bx < 0:  # wider than a right angle at P
            py, px, qy, qx = qy, qx, vy, vx
        elif ay * (qy - vy) + ax * (qx - vx) < 0:  # at Q
            qy, qx = vy, vx
        else:
            twice = np.float64(2 * (ay * bx - ax * by))
            a, b = ay * ay + ax * ax, by * by + bx * bx
            y, x = (bx * a - ax * b) / twice, (ay * b - by * a) / twice
            break
    return py, px, y, x, np.sqrt(y * y + x * x)
