"""Classical models as checked arrays, and their prediction.

A fitted SVM, tree, forest or logistic regression is nothing but arrays. Kept as such they need no
scikit-learn to predict, do not depend on its version, and can be checked completely, which an
estimator object from a file cannot.

reference   what each kind predicts
layouts     which arrays each kind has, and their check
compiled    the kinds that compiled code predicts: forest, boosted, svm
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .layouts import LAYOUTS as LAYOUTS, Arrays, check_head
from .reference import LARGEST as LARGEST, LEAF as LEAF, REFERENCE, standardise as standardise

_ROWS = 1024  # predicted at once where nothing is compiled
# the array with an entry for each machine or raw score: one for two classes, else one a class
_MACHINES = {"svm": "bias", "linear": "bias", "boosted": "baseline"}


@dataclass(frozen=True, eq=False)
class Head:
    """One classical model. kind: a key of `LAYOUTS`; arrays: those that it names, checked."""

    kind: str
    arrays: Arrays
    _packed: dict[type, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def classes(self) -> int:
        """How many classes there are: 2 or more."""
        if self.kind in _MACHINES:
            return max(2, len(self.arrays[_MACHINES[self.kind]]))
        if self.kind == "forest":
            return self.arrays["value"].shape[1]
        return (
            int(self.arrays["truth"].max()) + 1 if self.kind == "knn" else len(self.arrays["bias"])
        )

    def predict(self, values: Any) -> Any:
        """Probabilities (n, classes) float64 of feature rows (n, f) on the CPU or the GPU.

        NumPy rows give NumPy probabilities; CuPy rows stay on their device. They equal those of
        `reference` within 1e-9, on the GPU within 1e-6.
        """
        from . import compiled

        if type(values) not in self._packed:
            self._packed[type(values)] = compiled.pack(self.kind, self.arrays, values)
        model = self._packed[type(values)]
        if self.kind in compiled.PREDICT:
            return compiled.PREDICT[self.kind](values, model)
        found = compiled.empty(values, (len(values), self.classes), np.float64)
        for start in range(0, len(values), _ROWS):
            rows = slice(start, start + _ROWS)
            found[rows] = REFERENCE[self.kind](values[rows], model.arrays)
        return found


def check(name: str, kind: str, arrays: Arrays, features: int, classes: int) -> Head:
    """The head these arrays describe; ModelError unless every value of them is usable."""
    check_head(name, kind, arrays, features, classes)
    return Head(kind, dict(arrays))
