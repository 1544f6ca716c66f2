"""Where a network can be cut in two: its waists.

A waist is a map through which everything must pass on its way from the image to the logits,

    logits = rest(map(image)),

the output of a stage of a residual network, for instance, but no map inside a block, past which a
shortcut leads. Waists are found in the traced program and not by name, so a network that was
plugged in has them too, and no network has to hand out its inner maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

from ..errors import LearnError


def cut(
    network: Callable[[jax.Array], jax.Array], images: jax.Array, stage: int
) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
    """The map after a stage, (n, ..., c), and the function that leads from it to the logits.

    network  images (n, ..., c) -> logits (n, k)
    stage    which resolution, from the finest (0) to the coarsest (-1); of several waists with the
             same height and width the last counts

    LearnError for a stage that there is not. To be called inside a compiled function.
    """
    with jax.disable_jit():  # so that parts that are compiled apart are seen through
        closed = jax.make_jaxpr(network)(images)
    program = closed.jaxpr
    stages = _waists(program, images.shape)
    if not -len(stages) <= stage < len(stages):
        raise LearnError(f"cnn: there is no stage {stage}; it has {len(stages)}: 0, the finest, to "
                         f"{len(stages) - 1}, the coarsest")  # fmt: skip
    place, waist = stages[stage]
    first, second = program.eqns[: place + 1], program.eqns[place + 1 :]
    needed = _read(second, program.outvars)
    weights = [v for equation in first for v in equation.outvars if v in needed and v is not waist]
    front = program.replace(eqns=first, outvars=[waist, *weights])
    back = program.replace(eqns=second, invars=[waist, *weights])
    maps, *values = jaxpr_as_fun(ClosedJaxpr(front, closed.consts))(images)
    rest = jaxpr_as_fun(ClosedJaxpr(back, closed.consts))
    return maps, lambda maps: rest(maps, *values)[0]


def _waists(program: Jaxpr, image: tuple[int, ...]) -> list[tuple[int, Var]]:
    """(place of the equation that makes it, variable) of the last waist of every resolution.

    What has more places than the image is only its padded copy.
    """
    of_image = set(program.invars)
    for equation in program.eqns:
        if of_image & _read([equation]):
            of_image |= set(equation.outvars)
    needed = _read([], program.outvars)
    found: dict[tuple[int, ...], tuple[int, Var]] = {}
    for place, equation in reversed(list(enumerate(program.eqns))):
        live = needed & of_image  # all that the rest of the program still reads of the image
        for only in live if len(live) == 1 else ():
            shape = getattr(only.aval, "shape", ())
            places = shape[1:-1]
            if only not in equation.outvars or len(shape) != len(image) or max(places) == 1:
                continue
            if all(side <= whole for side, whole in zip(places, image[1:-1], strict=True)):
                found.setdefault(places, (place, only))
        if needed & set(equation.outvars):
            needed = needed - set(equation.outvars) | _read([equation])
    return list(reversed(found.values()))


def _read(equations: Iterable[JaxprEqn], results: Iterable[Any] = ()) -> set[Var]:
    """The variables that these equations and the program's results read."""
    inputs = [v for equation in equations for v in equation.invars]
    return {v for v in (*inputs, *results) if not isinstance(v, Literal)}
