"""The network against PyTorch: images/s predicted and trained, same weights, same batch, all cores.

PyTorch runs as its users run it: channels_last, its own threads, eager and compiled. The logits
must agree within 1e-4 and the losses of the timed step within 1e-3 before anything is timed.
Compiling comes before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from medkern.bench.rows import Rival, make_row
from medkern.bench.timing import Timed, turn_of
from medkern.kernels import Cost

torch = pytest.importorskip("torch", reason="PyTorch, the peer of the network, is not installed")

TURNS = 9
RATE = 1e-3


class Case(NamedTuple):
    """A network on square images of one channel."""

    architecture: str
    side: int
    batch: int
    width: int = 0
    blocks: int = 0


CASES = {"light-28": Case("light", 28, 64), "resnet18-28": Case("resnet18", 28, 32)}
SMALL = {
    "light-28": Case("light", 8, 2, width=2), "resnet18-28": Case("resnet18", 8, 2, 2, 1)
}  # fmt: skip


class Sides(NamedTuple):
    """Both sides of a comparison: logits of `x`, and one training step, which gives its loss."""

    x: np.ndarray
    infer: tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]
    step: tuple[Callable[[], float], Callable[[], float]]


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("job", ["infer", "train step"])
def bench_network(
    job: str,
    case: str,
    mode: str,
    request: pytest.FixtureRequest,
    benchmark: Any,
    machine: Any,
    report: Any,
) -> None:
    measuring = request.config.getoption("benchmark_enable")
    if mode == "compiled" and not measuring:
        pytest.skip("torch.compile takes minutes; it is compared where times count")
    chosen = (CASES if measuring else SMALL)[case]
    sides = both(chosen, mode == "compiled")
    ours, theirs = sides.infer if job == "infer" else sides.step
    apart = float(np.abs(np.subtract(ours(), theirs())).max())
    assert apart < (1e-4 if job == "infer" else 1e-3), f"they are {apart:.1e} apart"
    a, b = Timed(ours), Timed(theirs)
    benchmark.group = f"network: {job}"
    benchmark.pedantic(a, setup=turn_of(b), rounds=TURNS if measuring else 1, warmup_rounds=1)
    turns = TURNS if measuring else 1
    row = make_row(
        kernel=job,
        backend="cpu",
        data=case,
        images=sides.x,
        parameters=chosen._asdict(),
        cost=Cost(bytes=4, operations=0),  # of a float32 pixel
        seconds=a.seconds[-turns:],
        rival=Rival("PyTorch", torch.__version__, mode, b.seconds[-turns:]),
        check=f"{'logits' if job == 'infer' else 'losses'} {apart:.1e} apart at most",
        machine=machine.name,
        roof_gb_s=machine.copy_gb_s,
    ).describe()
    row["images_per_s"] = chosen.batch / row["median_s"]
    row["peer_images_per_s"] = chosen.batch / row["peer_median_s"]
    report("The network against PyTorch", row, shown(row, chosen))


def both(case: Case, compiled: bool) -> Sides:
    """The same weights, images and classes on both sides."""
    import jax
    import jax.numpy as jnp
    import optax

    from medkern.bench.twin import Twin
    from medkern.engine.learn.cnn import network

    net = network.residual(2, case.architecture, case.width, case.blocks)
    shape = (case.side, case.side, 1)
    fresh = jax.jit(net.init, static_argnums=1)(jax.random.key(0), shape)
    generator = np.random.default_rng(0)
    params, state = jax.tree.map(
        lambda leaf: np.array(leaf + 0.1 * generator.random(leaf.shape), np.float32), fresh
    )
    x = generator.normal(size=(case.batch, *shape)).astype(np.float32)
    truth = np.arange(case.batch) % 2

    _, stride, pool = network.stem(case.architecture, shape[:2])
    twin, learner = (Twin(params, state, stride, pool) for _ in range(2))
    for module in (twin.eval(), learner.train()):
        torch.nn.Module.to(module, memory_format=torch.channels_last)
    forward, train = (torch.compile(twin), torch.compile(learner)) if compiled else (twin, learner)
    their_x = torch.from_numpy(x).permute(0, 3, 1, 2)
    their_truth = torch.from_numpy(truth)
    adam = torch.optim.AdamW(learner.parameters(), RATE, weight_decay=1e-4)

    def their_logits() -> np.ndarray:
        with torch.inference_mode():
            return forward(their_x).numpy()

    def their_step() -> float:
        adam.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(train(their_x), their_truth)
        loss.backward()
        adam.step()
        return float(loss.detach())

    optimiser = optax.adamw(RATE, weight_decay=1e-4)
    apply = jax.jit(lambda params, state, x: net.apply(params, state, x, False)[0])

    @jax.jit
    def step(params: Any, state: Any, inner: Any) -> Any:
        def loss_of(params: Any) -> Any:
            logits, _, after = net.apply(params, state, our_x, True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, truth).mean(), after

        (loss, after), slope = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, inner = optimiser.update(slope, inner, params)
        return (optax.apply_updates(params, updates), after, inner), loss

    our_x = jnp.asarray(x)
    weights = jax.device_put((params, state))
    carry = [(*weights, optimiser.init(params))]

    def our_step() -> float:
        carry[0], loss = step(*carry[0])
        return float(jax.block_until_ready((carry[0], loss))[1])

    return Sides(
        x, (lambda: np.asarray(apply(*weights, our_x)), their_logits), (our_step, their_step)
    )


def shown(row: dict[str, Any], case: Case) -> dict[str, str]:
    """The row as the columns of the printed table."""
    return {
        "job": row["kernel"],
        "network": f"{case.architecture}, {case.side} px, batch {case.batch}",
        "images/s": f"{row['images_per_s']:.4g}",
        "against": f"PyTorch {row['peer_mode']}",
        "its images/s": f"{row['peer_images_per_s']:.4g}",
        "ratio": f"{row['ratio']:.3g}x",
        "range": f"{row['ratio_low']:.3g} to {row['ratio_high']:.3g}",
        "best": f"{row['ratio_best']:.3g}x",
        "checked": row["check"],
    }
