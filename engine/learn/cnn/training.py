"""A training under way: what it is, where it stands, and how it goes on.

It stands where its carry, its history and its best weights say: that is what a checkpoint holds.
The order of an epoch's rows and everything random in a step follow from the seed and their number,
so there is no other state to lose.
"""

from __future__ import annotations

import time
import warnings
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import LearnError, ModelError
from ..settings import Progress, Settings
from . import checkpoint
from .history import History, judge
from .network import Network
from .resident import Block, Data, order, place
from .step import Carry, Given, Plan, advance, start
from .trained import BATCH, Cnn, Design, flatten, unflatten

TELL = 2.0  # seconds of work between two calls of `progress`
EVERY = 20.0  # seconds between two checkpoints

Part = tuple[np.ndarray, np.ndarray]


def class_weights(truth: np.ndarray, classes: int, balance: float = 1.0) -> np.ndarray:
    """(n / (classes count_k))^balance: with 1, every class weighs the same in sum.

    Of labels, (n, classes) bool, the weight of "yes": (count of no / count of yes)^balance.
    """
    if truth.ndim == 2:
        yes = truth.sum(axis=0)
        ratio = np.maximum(len(truth) - yes, 1) / np.maximum(yes, 1)
    else:
        ratio = len(truth) / (classes * np.maximum(np.bincount(truth, minlength=classes), 1))
    return (ratio**balance).astype(np.float32)


@dataclass
class Training:
    """A training under way: what it is, and where it stands (carry, history, best weights)."""

    design: Design
    network: Network | None
    settings: Settings
    train: Part
    val: Part
    progress: Progress
    folder: Path | None = None
    parts: int = 1
    history: History = field(default_factory=History)
    best: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        pixels, truth = self.train
        self.steps = -(-len(pixels) // self.settings.batch)  # an epoch
        self.carry: Carry = start(jax.random.key(self.settings.seed), self.plan)
        self.given = Given(
            jax.random.key(self.settings.seed),
            jnp.asarray(class_weights(truth, self.design.classes, self.settings.balance)),
            jnp.int32(self.steps * self.settings.epochs),
        )
        self.data: Data = place(pixels, truth)
        self.pace: float | None = None  # seconds a step, once one was measured
        self.saved = time.perf_counter()

    @property
    def plan(self) -> Plan:
        """What the step is compiled for; what does not change it is left out."""
        design, settings = self.design, replace(self.settings, seed=0, epochs=1)
        if design.standardise == "image":
            design = replace(design, mean=0.0, deviation=0.0)
        return Plan(design, self.design.network(self.network), settings, self.parts)

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or `patience` of them were no better."""
        done = len(self.history.loss)
        return done >= self.settings.epochs or (
            done - 1 - self.history.best >= self.settings.patience
        )

    def run(self) -> tuple[Any, Any]:
        """The rest of the training; parameters and state of the best epoch, in host memory."""
        while not self.over and self._epoch():
            pass
        if self.best is None:
            raise LearnError("cnn: the loss is not finite in the first epoch; lower the rate")
        if self.folder:
            self._save()
        return self.best

    def keep_in(self, folder: Path) -> None:
        """Write checkpoints to this folder from now on; go on from the one it holds."""
        self.folder = folder
        self.facts = {
            "settings": asdict(self.settings),
            "design": asdict(self.design),
            "training images": checkpoint.fingerprint(*self.train),
            "validation images": checkpoint.fingerprint(*self.val),
        }
        weights = {"best": (self.carry.params, self.carry.state)}
        found = checkpoint.load(folder, self.facts, flatten(self.carry) | flatten(weights))
        if found:
            self._resume(*found)

    def _epoch(self) -> bool:
        """One epoch, or what is left of it, and its figures; False if they are not finite."""
        epoch, settings = len(self.history.loss), self.settings
        rows = order(len(self.train[0]), settings.batch, settings.seed, epoch)
        first = int(self.carry.step) - epoch * self.steps
        if first < self.steps:
            with closing(self.data.blocks(rows, first)) as blocks:
                for block, begin, end in blocks:
                    self._work(block, begin, end)
        loss = float(self.carry.loss) / self.steps
        params, state = jax.device_get(self.carry.average)
        batch = BATCH if self.parts == 1 else min(BATCH, settings.batch // self.parts)
        p = Cnn(self.design, params, state, self.network).predict(self.val[0], batch)
        if not np.isfinite(loss) or not np.isfinite(p).all():
            self._note("the loss was no longer finite, and the training stopped")
            return False
        if self.history.add(loss, *judge(self.val[1], p)):
            self.best = params, state
        self.carry = self.carry._replace(loss=jnp.float32(0))
        self.progress("cnn", *self._counted(), self.history.figures())
        self._save_in_time()
        return True

    def _work(self, block: Block, begin: int, end: int) -> None:
        """The block's steps begin .. end - 1, with a word to the user every `TELL` seconds."""
        while begin < end:
            count = 1 if not self.pace else min(end - begin, max(1, int(TELL / self.pace)))
            since = time.perf_counter()
            self._advance(block, begin, begin + count)
            # the first call compiles, so it is no measure
            self.pace = 0.0 if self.pace is None else (time.perf_counter() - since) / count
            begin += count
            self.progress("cnn", *self._counted(), {})
            self._save_in_time()

    def _advance(self, block: Block, first: int, last: int) -> None:
        """The steps, with the batch in smaller parts where the memory does not suffice."""
        while True:
            try:
                self.carry = advance(self.carry, self.given, block, first, last, self.plan)
                return
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
            batch = self.settings.batch
            if self.parts == batch:
                raise LearnError(
                    "cnn: the device's memory does not hold the training of one image; smaller "
                    "images or a smaller width need less"
                )
            self.parts = next(n for n in range(2 * self.parts, batch + 1) if batch % n == 0)
            self._note(f"the device's memory did not hold a batch of {batch} images: its gradient "
                       f"is the mean over {self.parts} parts of {batch // self.parts}")  # fmt: skip

    def _counted(self) -> tuple[int, int]:
        """Images done and images in all."""
        n, epoch = len(self.train[0]), len(self.history.loss)
        inside = int(self.carry.step) - epoch * self.steps
        return epoch * n + min(inside * self.settings.batch, n), n * self.settings.epochs

    def _note(self, text: str) -> None:
        if text not in self.history.notes:
            self.history.notes.append(text)
        warnings.warn(f"cnn: {text}", RuntimeWarning, stacklevel=2)

    def _save_in_time(self) -> None:
        if self.folder and time.perf_counter() - self.saved >= EVERY:
            self._save()

    def _save(self) -> None:
        assert self.folder
        about = {
            "machine": machine(),
            "parts": self.parts,
            "history": asdict(self.history),
            "kept": self.best is not None,
        }
        best = self.best or jax.tree.map(jnp.zeros_like, (self.carry.params, self.carry.state))
        arrays = flatten(self.carry) | flatten({"best": best})
        checkpoint.save(self.folder, int(self.carry.step), self.facts, about, arrays)
        self.saved = time.perf_counter()

    def _resume(self, path: Path, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        try:
            history, parts, kept = History.read(about.get("history")), about["parts"], about["kept"]
            step, done = int(arrays["step"]), len(history.loss)
            if type(parts) is not int or not 1 <= parts <= self.settings.batch:
                raise ModelError("has parts that are no share of the batch")
            if self.settings.batch % parts or kept is not (done > 0):
                raise ModelError("contradicts itself")
            if not done * self.steps <= step <= (done + 1) * self.steps:
                raise ModelError("has a step outside its epoch")
        except (ModelError, KeyError) as error:
            raise LearnError(f"cnn: the checkpoint {path} {error}; remove it") from None
        carried = {name: array for name, array in arrays.items() if not name.startswith("best/")}
        self.carry = jax.device_put(unflatten(carried, self.carry))
        weights = {"best": (self.carry.params, self.carry.state)}
        if kept:
            self.best = unflatten(arrays, weights)["best"]
        self.history, self.parts = history, parts
        if about.get("machine") != machine():
            self._note(f"begun with {about.get('machine')}, continued with {machine()}: not bit "
                       f"for bit what either would have given")  # fmt: skip


def machine() -> str:
    """What a network depends on to the last bit, beside data and settings."""
    return f"JAX {jax.__version__} on {jax.devices()[0].device_kind}"
