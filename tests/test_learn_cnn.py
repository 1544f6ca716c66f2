"""Training the network: what it learns, what it repeats, one compiled program for every step."""

import os
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from making_training import FAST, PLAIN, nothing, plain, programs, stripes

from medkern.engine.learn import LearnError, Settings
from medkern.engine.learn.cnn import _jax, resident, step, training
from medkern.engine.learn.cnn.fit import describe, fit
from medkern.engine.learn.cnn.history import History, judge
from medkern.engine.learn.cnn.schedule import rate
from medkern.engine.learn.cnn.training import Training, class_weights


def small(settings=FAST, rows=200, progress=nothing, network=PLAIN, **other):
    """A training of the plain network."""
    return fit(
        stripes(rows), stripes(50, seed=1), 8, 2, settings, progress, network=network, **other
    )


def same(one, other):
    """Whether two results of `fit` are the same, bit for bit."""
    (a, past), (b, other_past) = one, other
    assert past == other_past
    assert a.arrays().keys() == b.arrays().keys()
    for name, array in a.arrays().items():
        np.testing.assert_array_equal(array, b.arrays()[name], err_msg=name)
    return True


# ---- what it learns ----


@pytest.fixture(scope="module")
def trained():
    return fit(stripes(200), stripes(50, seed=1), 8, 2, FAST, nothing)


def test_it_learns_what_no_single_pixel_shows(trained):
    model, history = trained
    images, truth = stripes(200, seed=2)
    assert (model.predict(images).argmax(axis=1) == truth).mean() > 0.9
    assert history.val_auc[history.best] == max(history.val_auc) > 0.95


def test_a_seed_gives_one_network_and_another_seed_another(trained):
    before = programs(step.one)
    assert same(fit(stripes(200), stripes(50, seed=1), 8, 2, FAST, nothing), trained)
    other, _ = fit(stripes(200), stripes(50, seed=1), 8, 2, replace(FAST, seed=1), nothing)
    assert (other.params["dense"]["weight"] != trained[0].params["dense"]["weight"]).any()
    assert programs(step.one) == before


@pytest.mark.parametrize("task", ["classes", "ordinal", "labels"])
def test_every_task_is_learned(task):
    level = np.arange(240) % 3
    noise = np.random.default_rng(0).normal(0, 0.6, (240, 12, 12))
    ramp = np.linspace(-1, 1, 12) * (level - 1)[:, None]
    images = ((ramp[:, None] + noise) * 25 + 128).clip(0, 255).astype(np.uint8)
    truth = np.stack([level == 2, level != 1], axis=1) if task == "labels" else level
    k = 2 if task == "labels" else 3
    settings = replace(FAST, task=task, shift=0, epochs=25, patience=25, smoothing=0.05)
    train, val = (images[:120], truth[:120]), (images[120:], truth[120:])
    model, history = fit(train, val, 8, k, settings, nothing,
                         network=plain(2 if task != "classes" else 3))  # fmt: skip
    p = model.predict(images)
    if task == "ordinal":
        answers = (p @ np.arange(3)).round()  # the expected grade
    else:
        answers = p > 0.5 if task == "labels" else p.argmax(axis=1)
    assert (answers == truth)[120:].mean() > 0.8
    assert history.val_loss[-1] < history.val_loss[0]


@pytest.mark.parametrize("shape", [(12, 12, 3), (5, 12, 12)], ids=["colour", "volumes"])
def test_colour_and_volumes_are_trained_with_every_augmentation(shape):
    settings = replace(
        FAST, epochs=2, rotate=10, zoom=0.1, gamma=0.2, colour=0.2, cutout=0.2,
        flips=("horizontal",) if shape[-1] == 3 else ("horizontal", "depth"),
    )  # fmt: skip
    images = np.random.default_rng(0).integers(0, 4096, (40, *shape)).astype(np.uint16)
    rows = (images, np.arange(40) % 2)
    model, history = fit(rows, rows, 12, 2, settings, nothing, network=PLAIN)
    assert (model.design.channels, model.design.rank) == ((3, 2) if shape[-1] == 3 else (1, 3))
    assert np.isfinite(history.loss).all()
    np.testing.assert_allclose(model.predict(images).sum(axis=1), 1, rtol=1e-5)


def test_the_architectures_own_width_is_taken_where_none_is_given():
    images, _ = stripes(4)
    own = describe(images, 8, 2, Settings(architecture="resnet18"))
    assert (own.width, own.blocks) == (64, 2)
    assert describe(images, 8, 2, Settings()).width == 16
    assert describe(images, 8, 2, Settings(width=5, blocks=3)).blocks == 3


# ---- one program, wherever the images lie ----


def test_one_program_is_compiled_whatever_the_number_of_rows_epochs_or_the_seed():
    network, before = plain(), programs(step.one)
    for rows, epochs, seed in ((200, 4, 0), (195, 1, 3), (193, 2, 1)):
        small(replace(FAST, epochs=epochs, seed=seed), rows, network=network)
    assert programs(step.one) == before + 1


def test_images_that_are_streamed_give_the_same_network(monkeypatch):
    settings = replace(FAST, batch=24)  # 9 steps, the last batch filled up
    on_device = small(settings)
    monkeypatch.setattr(resident, "room", lambda: 0)
    monkeypatch.setattr(resident, "PIECE", 4 * 24 * 144)  # 4 steps: pieces of 4, 4 and 1
    assert same(small(settings), on_device)


def test_an_accelerators_loop_takes_the_same_steps():
    images, truth = stripes(200)
    begun = Training(
        describe(images, 8, 2, FAST, PLAIN), PLAIN, FAST, (images, truth), stripes(50), nothing
    )
    ((block, first, last),) = begun.data.blocks(resident.order(200, 32, 0, 0), 0)
    single = step.advance(begun.carry, begun.given, block, first, last, begun.plan)
    looped = begun.carry
    for end in (1, 5, last):
        looped = step.many(looped, begun.given, block, looped.step, jnp.int32(end), begun.plan)
    assert int(looped.step) == int(single.step) == last == 7
    assert programs(step.many) == 1
    for one, other in zip(jax.tree.leaves(single), jax.tree.leaves(looped), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("n", "batch"), [(70, 32), (32, 32), (5, 32), (7, 1)])
def test_an_epoch_sees_every_row_and_only_full_batches(n, batch):
    rows = resident.order(n, batch, seed=0, epoch=0)
    assert rows.shape == (-(-n // batch), batch)
    assert sorted(rows.ravel()[:n]) == list(range(n))
    assert (rows.ravel()[n:] == np.resize(rows.ravel()[:n], rows.size - n)).all()
    if n > 7:
        assert (rows != resident.order(n, batch, seed=0, epoch=1)).any()
        assert (rows != resident.order(n, batch, seed=1, epoch=0)).any()


def test_an_error_of_a_stream_reaches_the_caller(monkeypatch):
    class Broken(np.ndarray):
        def __getitem__(self, rows):
            if isinstance(rows, np.ndarray) and len(rows) > 1:
                raise OSError("the disk is gone")
            return super().__getitem__(rows)

    monkeypatch.setattr(resident, "room", lambda: 0)
    images, truth = stripes(200)
    with pytest.raises(OSError, match="the disk is gone"):
        fit((images.view(Broken), truth), stripes(50), 8, 2, FAST, nothing, network=PLAIN)


@pytest.mark.skipif(os.name != "posix", reason="modes and owners")
def test_compiled_programs_are_kept_where_nobody_else_can_write(tmp_path, monkeypatch):
    monkeypatch.setattr(_jax, "cache_folder", lambda: tmp_path)
    folder = _jax.programs()
    assert folder is not None and folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_uid == os.getuid()
    folder.chmod(0o770)
    assert _jax.programs() is None
    folder.chmod(0o700)
    assert _jax.programs() == folder
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    assert _jax.programs() is None
    monkeypatch.setattr(_jax, "cache_folder", lambda: None)
    assert _jax.programs() is None


# ---- the schedule, the weights, the choice of an epoch ----


@pytest.mark.parametrize("total", [1, 2, 9, 100, 1000])
def test_the_rate_rises_to_its_peak_and_falls_to_a_hundredth(total):
    rates = np.array(jax.vmap(lambda s: rate(s, total, 0.5))(jnp.arange(total)))
    warm = max(1, round(total / 10))
    np.testing.assert_allclose(rates[:warm], 0.5 * np.arange(1, warm + 1) / warm, rtol=1e-5)
    assert (np.diff(rates[warm:]) <= 0).all() and rates.max() <= 0.5 * 1.0001
    if total >= 100:
        assert rates[-1] < 0.02 * 0.5
    middle = warm + (total - warm) // 2
    if (total - warm) % 2 == 0 and total > 2:
        assert rates[middle] == pytest.approx(0.5 * (0.01 + 0.99 / 2), rel=1e-4)


def test_rare_classes_weigh_more_as_balance_asks():
    truth = np.array([0] * 30 + [1] * 10)
    np.testing.assert_allclose(class_weights(truth, 2, 1.0), [40 / 60, 2])
    np.testing.assert_allclose(class_weights(truth, 2, 0.5), np.sqrt([40 / 60, 2]), rtol=1e-6)
    np.testing.assert_array_equal(class_weights(truth, 2, 0.0), [1, 1])
    assert np.isfinite(class_weights(truth, 3)).all()
    labels = np.stack([truth == 1, truth == 0, truth == 2], axis=1)
    np.testing.assert_allclose(class_weights(labels, 3), [3, 1 / 3, 40])


def test_the_best_epoch_has_the_best_auc_and_then_the_lowest_loss():
    history = History()
    figures = [(0.8, 0.5), (0.9, 0.4), (0.9, 0.4), (0.9, 0.3), (0.85, 0.1)]
    assert [history.add(1.0, *pair) for pair in figures] == [True, True, False, True, False]
    assert history.best == 3


def test_figures_of_an_epoch_follow_the_task():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    auc, loss = judge(np.array([0, 0, 1]), p)
    assert auc == 1.0
    assert loss == pytest.approx(-np.log([0.9, 0.4, 0.8]).mean())
    auc, loss = judge(np.array([[False, True], [True, True], [False, True]]), p)
    assert auc == 0.5  # of the first label; the second, which every image has, tells nothing
    assert loss == pytest.approx(-np.log([0.1, 0.1, 0.4, 0.6, 0.8, 0.8]).mean())
    with pytest.raises(LearnError, match="validation images are all alike"):
        judge(np.array([1, 1, 1]), p)


def test_training_stops_when_validation_no_longer_improves():
    images, truth = stripes(200)
    _, history = fit((images, truth), (images, 1 - truth), 8, 2,
                     replace(FAST, patience=2, epochs=20), nothing, network=PLAIN)  # fmt: skip
    assert len(history.loss) == history.best + 3 < 20


def test_progress_counts_images_and_tells_the_epoch():
    calls = []
    small(progress=lambda *call: calls.append(call))
    assert calls[-1][:3] == ("cnn", 800, 800)
    assert [call[3]["epoch"] for call in calls if call[3]] == [1, 2, 3, 4]
    assert [call[1] for call in calls] == sorted(call[1] for call in calls)


# ---- what goes wrong ----


def exhausted(below: int):
    """Steps that run out of memory until a batch is in `below` parts."""

    def advance(carry, given, block, first, last, plan):
        if plan.parts < below:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")
        return step.advance(carry, given, block, first, last, plan)

    return advance


def test_too_little_memory_divides_the_batch_and_says_so(monkeypatch):
    whole, past = small()
    monkeypatch.setattr(training, "advance", exhausted(below=4))
    with pytest.warns(RuntimeWarning, match="did not hold a batch of 32 images") as told:
        divided, history = small()
    assert [str(warning.message) for warning in told] == [f"cnn: {note}" for note in history.notes]
    assert [note.split("over ")[1] for note in history.notes] == ["2 parts of 16", "4 parts of 8"]
    # without batch statistics and with equal weights, the mean over the parts is the gradient
    np.testing.assert_allclose(history.loss, past.loss, rtol=1e-3)
    np.testing.assert_allclose(divided.params["first"], whole.params["first"], atol=5e-3)


def test_no_memory_for_one_image_is_an_error(monkeypatch):
    monkeypatch.setattr(training, "advance", exhausted(below=33))
    with pytest.warns(RuntimeWarning), pytest.raises(LearnError, match="training of one image"):
        small()


def test_other_errors_of_the_device_are_not_taken_for_missing_memory(monkeypatch):
    def advance(*given):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(training, "advance", advance)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        small()


def test_a_loss_that_is_not_finite_stops_the_training():
    early = plain(spoil=lambda steps: steps * jnp.nan)
    with (
        pytest.raises(LearnError, match="not finite in the first epoch; lower the rate"),
        pytest.warns(RuntimeWarning, match="no longer finite"),
    ):
        small(network=early)
    late = plain(spoil=lambda steps: jnp.where(steps > 16, jnp.nan, 1.0))
    with pytest.warns(RuntimeWarning, match="no longer finite"):
        model, history = small(network=late)
    assert len(history.loss) == 2 and np.isfinite(history.loss).all()
    assert np.isfinite(model.predict(stripes(3)[0])).all()
    assert history.notes == ["the loss was no longer finite, and the training stopped"]


@pytest.mark.parametrize(
    ("images", "truth", "settings", "sentence"),
    [
        (np.zeros((4, 12), np.uint8), np.zeros(4, int), {}, r"images are \(4, 12\); allowed"),
        (np.zeros((0, 12, 12), np.uint8), np.zeros(0, int), {}, "n at least 1"),
        (np.zeros((4, 12, 12)), np.zeros(4, int), {}, "pixels are float64; allowed: uint8, uint16"),
        (stripes(4)[0], np.zeros(3, int), {}, r"truth of train is int64 \(3,\); allowed: class"),
        (stripes(4)[0], np.full(4, 2), {}, r"class outside 0 .. 1"),
        (stripes(4)[0], np.zeros(4, int), {"task": "labels"}, r"allowed: bool \(4, 2\)"),
        (stripes(4)[0], np.zeros(4, int), {"flips": ("depth",)}, "only volumes can be flipped"),
    ],
)
def test_data_that_do_not_fit_are_refused(images, truth, settings, sentence):
    with pytest.raises(LearnError, match=sentence):
        fit((images, truth), stripes(4), 8, 2, replace(FAST, **settings), nothing)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0; allowed: 1 .. 10000"),
        ({"epochs": 1.5}, "epochs is 1.5; it must be a whole number"),
        ({"rate": -1.0}, "rate is -1.0"),
        ({"rotate": 181.0}, "rotate is 181.0; allowed: 0 .. 180"),
        ({"cutout": float("nan")}, "cutout is nan; allowed: 0 .. 0.7"),
        ({"architecture": "resnet50"}, "architecture is 'resnet50'; allowed: light, resnet18"),
        ({"flips": ("diagonal",)}, "flips are .* allowed: horizontal, vertical, depth"),
        ({"models": ("cnn", "xgboost")}, "models are .* allowed: cnn, svm"),
        ({"models": ()}, "no model is chosen"),
        ({"standardise": "batch"}, "allowed: image, data"),
    ],
)
def test_settings_say_what_is_allowed(settings, sentence):
    with pytest.raises(LearnError, match=sentence):
        Settings(**settings)
