"""Small models for tests, made of random arrays: no training, every kind of head."""

import numpy as np

from medkern.engine.features import Features
from medkern.engine.learn.classical.heads import LAYOUTS, Head
from medkern.engine.learn.model import Model

KINDS = tuple(LAYOUTS)
TREES, ROWS = 3, 8  # of a head; a tree has 7 nodes


def head(kind: str, features: int = 3, classes: int = 2, seed: int = 0) -> Head:
    """A head of a kind: random where any value is allowed, sound where not."""
    generator = np.random.default_rng(seed)
    machines = 1 if classes == 2 else classes
    lengths = {
        "f": features, "k": classes, "m": machines, "t": TREES, "n": 7 * TREES, "s": ROWS, "1": 1,
    }  # fmt: skip
    first = np.repeat(7 * np.arange(TREES), 7)  # each node's root
    sound = {
        "scale": generator.uniform(0.5, 2, features),
        "gamma": generator.uniform(0.05, 0.3, machines if kind == "svm" else 1),
        "machine": np.arange(ROWS) % machines,
        "truth": np.arange(ROWS) % classes,
        "neighbours": np.array([3]),
        "roots": 7 * np.arange(TREES),
        "left": np.tile([1, 3, 5, -1, -1, -1, -1], TREES),
        "right": np.tile([2, 4, 6, -1, -1, -1, -1], TREES),
        "feature": generator.integers(0, features, 7 * TREES),
        "value": generator.dirichlet(np.ones(classes), 7 * TREES),
        "tree_class": np.arange(TREES) % machines,
        "missing_left": generator.integers(0, 2, 7 * TREES),
    }
    sound |= {key: np.where(sound[key] < 0, -1, sound[key] + first) for key in ("left", "right")}
    arrays = {}
    for key, (dtype, letters) in LAYOUTS[kind].items():
        values = sound.get(key, generator.normal(size=[lengths[letter] for letter in letters]))
        arrays[key] = values.astype(dtype)
    return Head(kind, arrays)


def model(kinds: tuple[str, ...] = KINDS, features: int = 3, classes: int = 2, **more) -> Model:
    """Heads of these kinds on as many columns, named by kind."""
    heads = {kind: head(kind, features, classes, seed) for seed, kind in enumerate(kinds)}
    facts = {
        "labels": tuple(f"class {number}" for number in range(classes)),
        "recipe": "name = 'none'",
        "features": tuple(f"column {number}" for number in range(features)),
        "cnn": None,
        "heads": heads,
        "thresholds": dict.fromkeys(heads, 0.5) if classes == 2 else {},
    }
    return Model(**(facts | more))


def rows(features: int = 3, n: int = 20, seed: int = 1) -> Features:
    """Random feature rows, some values missing."""
    generator = np.random.default_rng(seed)
    values = 2 * generator.normal(size=(n, features)).astype(np.float32)
    values[:: max(n // 4, 1), 0] = np.nan
    names = tuple(f"column {number}" for number in range(features))
    return Features(values, names, tuple(f"row {number}" for number in range(n)))


def cnn(size: tuple[int, ...] = (8, 8), classes: int = 2, seed: int = 0, **design):
    """A network with random weights, also where training would start at 0 or 1."""
    import jax

    from medkern.engine.learn.cnn.trained import Cnn, Design, unflatten

    facts = {
        "size": size, "bits": 8, "classes": classes, "width": 2, "blocks": 1,
        "standardise": "image", "mean": 0.5, "deviation": 0.2, "rank": len(size),
    }  # fmt: skip
    described = Design(**(facts | design))
    params, state = described.fresh(jax.random.key(seed))
    generator = np.random.default_rng(seed)
    tree = {"params": params, "state": state}
    flat = Cnn(described, params, state).arrays()
    for name, array in flat.items():
        noise = generator.uniform(0.2, 1, array.shape).astype(np.float32)
        flat[name] = noise if name.endswith(("/var", "/scale")) else array + noise - 0.6
    tree = unflatten(flat, tree)
    return Cnn(described, tree["params"], tree["state"])


def pixels(n: int = 20, shape: tuple[int, ...] = (8, 8), seed: int = 2) -> np.ndarray:
    """Random grey or colour images or volumes."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)
