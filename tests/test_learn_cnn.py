"""The network: its shape, its training, and one compiled program for each of its two jobs."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medkern.engine.learn import LearnError, Settings
from medkern.engine.learn.cnn import fit as train_cnn, network, trained as cnn
from medkern.engine.learn.cnn.trained import Cnn, Design, flatten, scale, unflatten

FAST = Settings(epochs=4, batch=32, width=4, rate=1e-2, shift=0.1, models=("cnn",))


def stripes(n: int, side: int = 12, seed: int = 0, dtype=np.uint8):
    """Horizontal (0) or vertical (1) stripes of any phase in noise: no pixel tells them apart."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    wave = np.sin(np.arange(side)[None] * 2 + generator.uniform(0, 6, (n, 1)))
    image = np.where(truth[:, None, None] == 1, wave[:, None, :], wave[:, :, None])
    image = image + generator.normal(size=(n, side, side))
    top = np.iinfo(dtype).max
    return ((image * 0.1 + 0.5).clip(0, 1) * top).astype(dtype), truth


# Every fit below traces the same program, so that it is compiled once and then found in the cache.
def nothing(model: str, done: int, total: int, figures) -> None:
    pass


def programs(jitted: Any) -> int:
    """How many programs were compiled for a jitted function."""
    return jitted._cache_size()


@pytest.fixture(scope="module")
def trained():
    return train_cnn.fit(stripes(200), stripes(50, seed=1), 8, 2, FAST, nothing)


def test_it_learns_what_no_single_pixel_shows(trained):
    model, history = trained
    images, truth = stripes(200, seed=2)
    assert (model.predict(images).argmax(axis=1) == truth).mean() > 0.9
    assert history.val_auc[history.best] == max(history.val_auc) > 0.95


def test_the_same_seed_gives_the_same_network(trained):
    again, history = train_cnn.fit(stripes(200), stripes(50, seed=1), 8, 2, FAST, nothing)
    assert history == trained[1]
    for name, array in trained[0].arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name], err_msg=name)


def test_training_compiles_one_step_whatever_the_number_of_rows():
    images, truth = stripes(70)
    design = train_cnn.describe(images, 8, 2, FAST)
    optimiser = train_cnn.schedule(FAST, 28)
    step = train_cnn.make_step(design, FAST, optimiser)
    carry, key = train_cnn.start(jax.random.key(0), design, optimiser), jax.random.key(0)
    order = np.random.default_rng(0)
    for rows in (70, 32, 5):
        for batch in train_cnn.batches(images[:rows], truth[:rows], 32, order):
            carry, loss = step(carry, key, *batch, jnp.ones(2))
            assert np.isfinite(loss)
    assert programs(step) == 1


def test_prediction_compiles_once_and_padding_changes_no_row(trained):
    images, _ = stripes(150, seed=3)
    before = programs(cnn.probabilities)
    whole = trained[0].predict(images, batch=37)
    assert whole.shape == (150, 2)
    for n in (1, 36, 37, 38, 149):
        np.testing.assert_array_equal(trained[0].predict(images[:n], batch=37), whole[:n])
    assert programs(cnn.probabilities) == before + 1
    assert trained[0].predict(images[:0]).shape == (0, 2)


def test_a_training_epoch_sees_every_row_and_only_full_batches():
    images = np.arange(70, dtype=np.uint8).reshape(70, 1, 1)
    seen = list(train_cnn.batches(images, np.arange(70), 32, np.random.default_rng(0)))
    assert [len(truth) for _, truth in seen] == [32, 32, 32]
    assert {int(v) for _, truth in seen for v in truth} == set(range(70))
    assert all((image.ravel() == truth).all() for image, truth in seen)


@pytest.mark.parametrize("shape", [(4, 4), (7, 5), (28, 28), (29, 57), (64, 40), (120, 200)])
def test_any_size_works_and_large_images_cost_like_small_ones(shape):
    def run(key: jax.Array):
        params, state = network.init(key, (*shape, 1), classes=3, width=2)
        return params, network.apply(params, state, jnp.ones((2, *shape, 1)), train=False)

    params, (logits, features, _) = jax.eval_shape(run, jax.random.key(0))
    assert logits.shape == (2, 3)
    assert features.shape == (2, 8)
    stride = params["stem"]["weight"].shape[0] // 2
    assert min(shape) // stride < 56


def test_an_untrained_network_is_undecided_and_its_blocks_are_the_identity():
    init = jax.jit(network.init, static_argnums=(1, 2, 3))
    params, state = init(jax.random.key(0), (16, 16, 1), 4, 4)
    x = jax.random.normal(jax.random.key(1), (3, 16, 16, 1))
    logits, _, same = jax.jit(network.apply, static_argnums=3)(params, state, x, False)
    np.testing.assert_array_equal(logits, np.zeros((3, 4)))
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(before, after)
    deviation = float(params["stage0_block0"]["first"]["weight"].std())
    assert deviation == pytest.approx((2 / (9 * 4)) ** 0.5, rel=0.25)


def test_train_mode_normalises_by_the_batch_and_remembers_it():
    noise = np.random.default_rng(0).normal(size=(16, 8, 8, 1))
    x = jnp.asarray(5 + 3 * noise, jnp.float32)

    @jax.jit
    def run(key: jax.Array):
        params, state = network.init(key, (8, 8, 1), classes=2, width=2)
        stem = jax.lax.conv_general_dilated(
            x, params["stem"]["weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return stem, network.apply(params, state, x, train=True)[2]["stem"]

    stem, after = run(jax.random.key(0))
    stem = np.asarray(stem, np.float64)
    np.testing.assert_allclose(after["mean"], 0.1 * stem.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(after["var"], 0.9 + 0.1 * stem.var(axis=(0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 16)])
def test_images_are_standardised_by_themselves_or_by_the_data(dtype, bits):
    images, _ = stripes(6, dtype=dtype)
    own = Design((12, 12), bits, 2, 4, 1, "image", 0.5, 0.1)
    x = np.asarray(scale(jnp.asarray(images), own))
    assert np.abs(x.mean(axis=(1, 2, 3))).max() < 1e-4
    shared = Design((12, 12), bits, 2, 4, 1, "data", 0.5, 0.1)
    expected = (images / (2**bits - 1) - 0.5) / 0.12
    np.testing.assert_allclose(scale(jnp.asarray(images), shared)[..., 0], expected, atol=1e-4)


view = jax.jit(train_cnn.augment, static_argnums=2)


def test_augmentation_stays_in_its_bounds():
    still = Settings(shift=0, intensity=0)
    x = np.random.default_rng(0).normal(size=(40, 10, 10, 1)).astype(np.float32)
    np.testing.assert_array_equal(view(jax.random.key(1), x, still), x)
    seen = np.asarray(view(jax.random.key(1), x, replace(still, flips=("horizontal",))))
    kept = (seen == x).all(axis=(1, 2, 3))
    turned = (seen == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ turned).all()
    assert 5 < kept.sum() < 35


def test_a_shift_moves_whole_images_by_up_to_its_bound():
    ramp = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None], (200, 20, 20, 1))
    moved = np.asarray(view(jax.random.key(0), ramp, Settings(shift=0.1, intensity=0)))
    by = moved[:, 10, 0, 0] - 10
    assert set(by) == {-2, -1, 0, 1, 2}
    np.testing.assert_array_equal(moved[:, 12, 7, 0] - 12, by)


def test_training_stops_when_validation_no_longer_improves():
    images, truth = stripes(200)
    _, history = train_cnn.fit(
        (images, truth), (images, 1 - truth), 8, 2, replace(FAST, patience=1), nothing
    )
    assert len(history.loss) == history.best + 2 < FAST.epochs


def test_progress_counts_images_and_tells_the_epoch():
    calls = []
    train_cnn.fit(stripes(200), stripes(20), 8, 2, FAST, lambda *call: calls.append(call))
    assert calls[-1][:3] == ("cnn", 800, 800)
    assert [call[3]["epoch"] for call in calls if call[3]] == [1, 2, 3, 4]
    assert [call[1] for call in calls] == sorted(call[1] for call in calls)


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.zeros((2, 12, 13), np.uint8), r"\(2, 12, 13\), the network takes \(n, 12, 12\)"),
        (np.zeros((2, 12, 12), np.float32), "float32; allowed: uint8, uint16"),
    ],
)
def test_other_images_are_refused(trained, pixels, sentence):
    with pytest.raises(LearnError, match=sentence):
        trained[0].predict(pixels)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0; allowed: 1 .. 10000"),
        ({"epochs": 1.5}, "epochs is 1.5; it must be a whole number"),
        ({"rate": -1.0}, "rate is -1.0"),
        ({"flips": ("diagonal",)}, "flips are .* allowed: horizontal, vertical"),
        ({"models": ("cnn", "xgboost")}, "models are .* allowed: cnn, svm"),
        ({"models": ()}, "no model is chosen"),
        ({"standardise": "batch"}, "allowed: image, data"),
    ],
)
def test_settings_say_what_is_allowed(settings, sentence):
    with pytest.raises(LearnError, match=sentence):
        Settings(**settings)


def test_flat_names_are_the_paths_of_the_tree(trained):
    tree = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert flatten(tree) == {"a/b": 1, "a/c/d": 2, "e": 3}
    assert unflatten(flatten(tree)) == tree
    again = Cnn.from_arrays(trained[0].design, trained[0].arrays())
    images, _ = stripes(20)
    np.testing.assert_array_equal(again.predict(images), trained[0].predict(images))
