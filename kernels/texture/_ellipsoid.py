"""Ellipsoids: their surface, and the smallest one around points.

The smallest ellipsoid around points x_k is found by weights u_k that add up to 1 (Khachiyan): with
q_k = (x_k, 1) and M = sum u_k q_k q_k', the greatest of kappa_k = q_k' M^-1 q_k is 4 where the
volume is least. Each step moves weight to the point with the greatest kappa, or away from the one
with the least (Todd and Yildirim); from near the end Newton's method goes far beyond the manual's
tolerance of 0.001, so that the axes depend neither on the order of the points nor on the machine.

source  Khachiyan 1996, Math. Oper. Res. 21(2); Todd and Yildirim 2007, Discrete Appl. Math. 155
"""

import numpy as np

from .._cpu import compiled

TERMS = 20  # of the series for the surface, after which the manual stops
TOLERANCE = 1e-10  # relative excess of kappa
STEPS = 20_000
JOINING = 8  # points at a time
ROUGH = 1e-4  # where Newton's method takes over
NEWTON_STEPS = 40
TURNS = 60


def ellipsoid_area(a: float, b: float, c: float) -> float:
    """Surface of an ellipsoid of semi-axes a >= b >= c as the manual's Legendre series has it.

    That is the surface of spheres; of others the series would need the eccentricities against c
    where the manual, and with it the consensus, has those against a. The terms
    (alpha beta)^n P_n((alpha^2 + beta^2) / (2 alpha beta)) come from the recurrence of the
    polynomials times (alpha beta)^n, which needs no division: spheres are no exception.
    """
    if a == 0.0:
        return 0.0
    alpha, beta = 1.0 - (b / a) ** 2, 1.0 - (c / a) ** 2  # squares of the eccentricities
    before, term, total = 0.0, 1.0, 1.0
    for n in range(TERMS):
        following = (2 * n + 1) * (alpha + beta) / 2 * term - n * alpha * beta * before
        before, term = term, following / (n + 1)
        total += term / (1 - 4 * (n + 1) ** 2)
    return 4 * np.pi * a * b * total


def spanning(points: np.ndarray) -> np.ndarray:
    """Numbers of the two farthest points along each of three independent directions."""
    direction, chosen, spans = np.array([1.0, 0.0, 0.0]), [], []
    for _ in range(3):
        along = points @ direction
        chosen += [int(along.argmin()), int(along.argmax())]
        spans.append(points[chosen[-1]] - points[chosen[-2]])
        direction = np.cross(spans[0], spans[1] if len(spans) > 1 else [0.0, 1.0, 0.0])
    return np.unique(chosen)


@compiled
def shift_weights(points, weights, kappas, inverse, tolerance, steps):
    """Moves weight between points (k, 3) until every kappa is 4, or less where there is no weight.

    weights, kappas (k,) and inverse (4, 4), M^-1, as they are at the start; all are changed
    """
    row = np.empty(4)
    for _ in range(steps):
        most, least = 0, -1
        for k in range(len(points)):
            if kappas[k] > kappas[most]:
                most = k
            if weights[k] > 0.0 and (least < 0 or kappas[k] < kappas[least]):
                least = k
        above, below = kappas[most] / 4.0 - 1.0, 1.0 - kappas[least] / 4.0
        if max(above, below) <= tolerance:
            return
        chosen = most if above >= below else least
        kappa = kappas[chosen]
        step = (kappa - 4.0) / (4.0 * (kappa - 1.0))
        all_of_it = -weights[least] / (1.0 - weights[least])
        leaves = chosen == least and (kappa <= 1.0 or step < all_of_it)
        if leaves:
            step = all_of_it
        weights *= 1.0 - step
        weights[chosen] = 0.0 if leaves else weights[chosen] + step
        for i in range(4):
            row[i] = inverse[i, 3]
            for j in range(3):
                row[i] += inverse[i, j] * points[chosen, j]
        share = step / (1.0 - step + step * kappa)
        for i in range(4):
            for j in range(4):
                inverse[i, j] = (inverse[i, j] - share * row[i] * row[j]) / (1.0 - step)
        for k in range(len(points)):
            z, y, x = points[k, 0], points[k, 1], points[k, 2]
            cross = row[3] + row[0] * z + row[1] * y + row[2] * x
            kappas[k] = (kappas[k] - share * cross * cross) / (1.0 - step)


def settled(lifted: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Newton's method for kappa = 4 at the points (k, 4) of weight above 0; None where it fails.

    The derivative of kappa_i by weight j is -(q_i' M^-1 q_j)^2. A step ends where a weight becomes
    0: that point leaves.
    """
    weights = weights.copy()
    for _ in range(NEWTON_STEPS):
        live = np.flatnonzero(weights)
        near = lifted[live]
        crossed = near @ np.linalg.inv(near.T @ (weights[live, None] * near)) @ near.T
        excess = np.diag(crossed) - 4
        if np.abs(excess).max() <= 4 * TOLERANCE:
            return weights
        step = np.linalg.lstsq(crossed**2, excess, rcond=1e-12)[0]
        reach = np.where(step < 0, -weights[live] / np.minimum(step, -1e-300), np.inf)
        weights[live] += min(1.0, reach.min()) * step
        if reach.min() <= 1:
            weights[live[reach.argmin()]] = 0.0
    return None


def least_ellipsoid(points: np.ndarray) -> np.ndarray:
    """Semi-axes, the longest first, of the smallest ellipsoid around points (k, 3).

    Only a few points touch it: weights are sought for some, and points outside join them.
    """
    size = np.abs(points).max()
    points = points / size
    lifted = np.column_stack([points, np.ones(len(points))])
    some = spanning(points)
    weights = np.full(len(some), 1 / len(some))
    for turn in range(TURNS):
        inverse = np.linalg.inv(lifted[some].T @ (weights[:, None] * lifted[some]))
        kappas = ((lifted @ inverse) * lifted).sum(axis=1)
        excess = kappas.copy()
        excess[some] = 0.0
        new = np.argsort(-excess, kind="stable")[:JOINING]
        new = new[excess[new] > 4 * (1 + 2 * TOLERANCE)]
        if new.size == 0 and turn > 0:  # the first weights are no optimum of the first points
            break
        some = np.concatenate([some[weights > 0], new])
        weights = np.concatenate([weights[weights > 0], np.zeros(len(new))])
        kappas = kappas[some]
        above = kappas.max() / 4 - 1
        rough = max(TOLERANCE, min(ROUGH, above / 2))  # so that a new point gains weight
        shift_weights(points[some], weights, kappas, inverse, rough, STEPS)
        found = settled(lifted[some], weights) if turn < TURNS / 2 else None
        if found is None:
            shift_weights(points[some], weights, kappas, inverse, TOLERANCE, STEPS)
        else:
            some, weights = some[found > 0], found[found > 0]
    near = points[some] - weights @ points[some]
    return size * np.sqrt(3.0 * np.linalg.eigvalsh(near.T @ (weights[:, None] * near))[::-1])
