"""The networks: their shapes, their mathematics, and one compiled program for all predictions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medkern.engine.learn import LearnError, ModelError
from medkern.engine.learn.cnn import network, trained as cnn
from medkern.engine.learn.cnn.network import Network, residual
from medkern.engine.learn.cnn.trained import Cnn, Design, flatten, scale, unflatten


def describe(size=(12, 12), **other) -> Design:
    fields: dict[str, Any] = {
        "bits": 8, "classes": 3, "width": 2, "blocks": 1, "standardise": "image", "mean": 0.5,
        "deviation": 0.1, "rank": len(size),
    }  # fmt: skip
    return Design(size, **(fields | other))


def unsettled(design: Design, seed: int = 0, own: Network | None = None) -> Cnn:
    """A network with every weight drawn: no scale, offset or class is at its starting value."""
    params, state = jax.jit(design.fresh, static_argnums=1)(jax.random.key(seed), own)
    generator = np.random.default_rng(seed)

    def draw(leaf: jax.Array) -> np.ndarray:
        noise = generator.normal(size=leaf.shape) * (0.3 if leaf.ndim < 3 else 0)
        return (np.asarray(leaf) + noise).astype(np.float32)

    params = jax.tree.map(draw, params)
    state = jax.tree.map(lambda leaf: np.abs(draw(leaf)), state)
    return Cnn(design, params, state, own)


def images(n: int, design: Design, seed: int = 0) -> np.ndarray:
    shape = (n, *design.size, *((3,) if design.channels == 3 else ()))
    top = 2**design.bits
    dtype = np.uint8 if design.bits <= 8 else np.uint16
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


def programs(jitted: Any) -> int:
    """How many programs were compiled for a jitted function."""
    return jitted._cache_size()


# ---- shapes ----


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("architecture", "shape", "features", "stem"),
    [
        ("light", (4, 4), 8, (3, 3)),
        ("light", (7, 5), 8, (3, 3)),
        ("light", (29, 57), 8, (3, 3)),
        ("light", (64, 60), 8, (5, 5)),
        ("light", (120, 200), 8, (9, 9)),
        ("light", (9, 12, 11), 8, (3, 3, 3)),
        ("resnet18", (28, 28), 16, (3, 3)),
        ("resnet18", (64, 5), 16, (3, 3)),
        ("resnet18", (224, 224), 16, (7, 7)),
        ("resnet18", (28, 28, 28), 16, (3, 3, 3)),
        ("resnet18", (16, 80, 80), 16, (7, 7, 7)),
    ],
)
def test_any_size_and_rank_works(architecture, shape, channels, features, stem):
    net = residual(5, architecture, width=2, blocks=1)

    def run(key: jax.Array):
        params, state = net.init(key, (*shape, channels))
        return params, net.apply(params, state, jnp.ones((2, *shape, channels)), False)

    params, (logits, penultimate, _) = jax.eval_shape(run, jax.random.key(0))
    assert logits.shape == (2, 5)
    assert penultimate.shape == (2, features)
    assert params["stem"]["weight"].shape == (*stem, channels, 2)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}


def test_resnet18_is_of_its_published_size():
    """11.7 million weights with 1,000 classes (He et al. 2016, as counted for ImageNet)."""
    net = residual(1000, "resnet18")
    params, _ = jax.eval_shape(lambda key: net.init(key, (224, 224, 3)), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 11_689_512
    blocks = [name for name in params if name.startswith("stage")]
    assert len(blocks) == 8
    last = params["stage3_block1"]["second"]["weight"]
    assert last.shape == (3, 3, 512, 512)


@pytest.mark.parametrize("side", [28, 55, 56, 111, 112, 223, 1024])
def test_the_light_network_costs_the_same_for_large_images(side):
    net = residual(2)
    params, _ = jax.eval_shape(lambda key: net.init(key, (side, side, 1)), jax.random.key(0))
    stride = params["stem"]["weight"].shape[0] // 2
    assert 28 <= side / stride < 56


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: residual(2, "vgg"), "architecture is 'vgg'; allowed: light, resnet18"),
        (lambda: residual(0), "0 outputs"),
        (lambda: residual(2, width=-1), "width -1"),
        (lambda: residual(2, blocks=10), "10 blocks; allowed: .* at most 9"),
        (lambda: residual(2).init(jax.random.key(0), (3, 9, 1)), "sides of at least 4"),
        (lambda: residual(2).init(jax.random.key(0), (9, 1)), r"allowed: \(h, w, c\)"),
    ],
)
def test_impossible_networks_are_refused(make, sentence):
    with pytest.raises(LearnError, match=sentence):
        make()


# ---- mathematics ----


def test_an_untrained_network_is_undecided_and_its_blocks_are_the_identity():
    net = residual(4, width=4)
    params, state = jax.jit(net.init, static_argnums=1)(jax.random.key(0), (16, 16, 1))
    x = jax.random.normal(jax.random.key(1), (3, 16, 16, 1))
    logits, _, same = jax.jit(net.apply, static_argnums=3)(params, state, x, False)
    np.testing.assert_array_equal(logits, np.zeros((3, 4)))
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(before, after)
    deviation = float(params["stage0_block0"]["first"]["weight"].std())
    assert deviation == pytest.approx((2 / (9 * 4)) ** 0.5, rel=0.25)


def test_train_mode_normalises_by_the_batch_and_remembers_it():
    noise = np.random.default_rng(0).normal(size=(16, 8, 8, 1))
    x = jnp.asarray(5 + 3 * noise, jnp.float32)
    net = residual(2, width=2)

    @jax.jit
    def run(key: jax.Array):
        params, state = net.init(key, (8, 8, 1))
        stem = jax.lax.conv_general_dilated(
            x, params["stem"]["weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return stem, net.apply(params, state, x, True)[2]["stem"]

    stem, after = run(jax.random.key(0))
    stem = np.asarray(stem, np.float64)
    np.testing.assert_allclose(after["mean"], 0.1 * stem.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(after["var"], 0.9 + 0.1 * stem.var(axis=(0, 1, 2)), rtol=1e-4)


def test_the_logits_are_one_dense_layer_on_the_features():
    model = unsettled(describe())
    pixels = images(4, model.design)
    dense = model.params["dense"]
    p, features = model.answers(pixels, 4)
    logits = np.exp(features @ dense["weight"] + dense["bias"])
    np.testing.assert_allclose(p, logits / logits.sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 16)])
def test_images_are_standardised_by_themselves_or_by_the_data(dtype, bits):
    own = describe(bits=bits)
    pixels = images(6, own)
    assert pixels.dtype == dtype
    x = np.asarray(scale(jnp.asarray(pixels), own))
    assert np.abs(x.mean(axis=(1, 2, 3))).max() < 1e-4
    shared = describe(bits=bits, standardise="data")
    expected = (pixels / (2**bits - 1) - 0.5) / 0.12
    np.testing.assert_allclose(scale(jnp.asarray(pixels), shared)[..., 0], expected, atol=1e-4)


def test_the_channels_of_an_image_share_one_line():
    """Standardising keeps a colour's hue: differences between channels are scaled, not removed."""
    design = describe(channels=3)
    pixels = images(2, design)
    x = np.asarray(scale(jnp.asarray(pixels), design))
    assert x.shape == (2, 12, 12, 3)
    unit = pixels / 255
    factor = 1 / (unit.std(axis=(1, 2, 3)) + 0.02)
    change = (unit[..., 0] - unit[..., 1]) * factor[:, None, None]
    np.testing.assert_allclose(x[..., 0] - x[..., 1], change, atol=1e-4)


# ---- prediction ----


def test_prediction_compiles_once_and_padding_changes_no_row():
    model = unsettled(describe())
    pixels = images(150, model.design)
    before = programs(cnn.answer)
    whole, features = model.answers(pixels, batch=37)
    assert whole.shape == (150, 3)
    assert features.shape == (150, 8)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)
    assert len(np.unique(whole, axis=0)) > 100
    for n in (1, 36, 37, 38, 149):
        np.testing.assert_array_equal(model.predict(pixels[:n], batch=37), whole[:n])
        np.testing.assert_array_equal(model.features(pixels[:n], batch=37), features[:n])
    assert programs(cnn.answer) == before + 1
    assert model.predict(pixels[:0]).shape == (0, 3)
    assert model.features(pixels[:0]).shape == (0, 8)


class Foreign:
    """An array of another library: it slices and speaks DLPack, and is no NumPy array."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: slice) -> "Foreign":
        return Foreign(self.array[rows])

    def __dlpack__(self, **how: Any) -> Any:
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


def aligned(array: np.ndarray) -> np.ndarray:
    """The same values where every 64th byte is an address JAX takes as it is."""
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[:] = array
    return copy


def test_other_libraries_arrays_are_read_where_they_lie():
    model = unsettled(describe((16, 16)))
    pixels = aligned(images(40, model.design))
    for start, (rows, fresh) in zip((0, 16, 24), cnn._batches(Foreign(pixels), 16), strict=True):
        assert rows.unsafe_buffer_pointer() == pixels[start:].ctypes.data
        assert fresh == (8 if start == 24 else 0)
    np.testing.assert_array_equal(model.predict(Foreign(pixels), 16), model.predict(pixels, 16))


@pytest.mark.gpu
def test_cupy_images_are_read_where_they_lie():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    model = unsettled(describe((16, 16)))
    host = images(40, model.design)
    pixels = cupy.asarray(host)
    for start, (rows, _) in zip((0, 16, 24), cnn._batches(pixels, 16), strict=True):
        assert rows.unsafe_buffer_pointer() == pixels[start:].data.ptr
    np.testing.assert_array_equal(model.predict(pixels, 16), model.predict(host, 16))


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.zeros((2, 12, 13), np.uint8), r"\(2, 12, 13\), the network takes \(n, 12, 12\)"),
        (np.zeros((2, 12, 12, 3), np.uint8), r"\(2, 12, 12, 3\), the network takes \(n, 12, 12\)"),
        (np.zeros((2, 12, 12), np.float32), "float32; allowed: uint8, uint16"),
        ([1, 2], "images are"),
    ],
)
def test_other_images_are_refused(pixels, sentence):
    with pytest.raises(LearnError, match=sentence):
        unsettled(describe()).predict(pixels)


def test_colour_and_volumes_are_predicted():
    for design in (describe(channels=3), describe((8, 9, 10))):
        p = unsettled(design).predict(images(3, design), batch=4)
        assert p.shape == (3, 3)
        assert np.isfinite(p).all()


# ---- weights ----


@pytest.mark.parametrize("task", ["classes", "ordinal", "labels"])
def test_arrays_hold_the_whole_network(task):
    model = unsettled(describe(task=task))
    again = Cnn.from_arrays(model.design, model.arrays())
    pixels = images(20, model.design)
    np.testing.assert_array_equal(again.predict(pixels), model.predict(pixels))
    assert model.predict(pixels).shape == (20, 3)


def test_flat_names_are_the_paths_of_the_tree():
    tree = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert flatten(tree) == {"a/b": 1, "a/c/d": 2, "e": 3}
    assert unflatten(flatten(tree), like=tree) == tree


def test_the_light_network_keeps_its_arrays():
    """Names and shapes that model files hold."""
    arrays = unsettled(describe((28, 28), width=16, classes=2)).arrays()
    assert len(arrays) == 47
    assert arrays["params/stem/weight"].shape == (3, 3, 1, 16)
    assert arrays["params/stage1_block0/shortcut/weight"].shape == (1, 1, 16, 32)
    assert arrays["params/stage2_block0/second/scale"].shape == (64,)
    assert arrays["state/stage2_block0/first/var"].shape == (64,)
    assert arrays["params/dense/weight"].shape == (64, 2)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("architecture", "vgg", "architecture is 'vgg'; allowed: light, resnet18, custom"),
        ("task", "ranking", "task is 'ranking'; allowed: classes, ordinal, labels"),
        ("channels", 2, "channels is 2; allowed: 1, 3"),
        ("channels", True, "channels is True"),
        ("rank", 3, r"size is \(12, 12\), which is not of rank 3"),
        ("rank", 4, "rank is 4; allowed: 2 .. 3"),
        ("bits", 17, "bits is 17; allowed: 1 .. 16"),
        ("mean", 1.5, "mean is 1.5; allowed: 0 .. 1"),
    ],
)
def test_a_design_says_what_is_allowed(field, value, sentence):
    with pytest.raises(ModelError, match=sentence):
        describe(**{field: value})


# ---- somebody else's network ----


def plain_init(key: jax.Array, shape: tuple[int, ...]):
    h, w, c = shape
    return [jax.random.normal(key, (h * w * c, 3)) / h, jnp.zeros(3)], {}


def plain_apply(params: Any, state: Any, x: jax.Array, train: bool):
    flat = x.reshape(len(x), -1)
    return flat @ params[0] + params[1], flat, state


PLAIN = Network(plain_init, plain_apply)


def test_a_plugged_in_network_predicts_and_comes_back_with_its_functions():
    model = unsettled(describe(architecture="custom"), own=PLAIN)
    assert set(model.arrays()) == {"params/0", "params/1"}
    again = Cnn.from_arrays(model.design, model.arrays(), PLAIN)
    pixels = images(5, model.design)
    np.testing.assert_array_equal(again.predict(pixels), model.predict(pixels))
    np.testing.assert_allclose(
        model.features(pixels), scale(jnp.asarray(pixels), model.design).reshape(5, -1), atol=1e-5
    )


def test_a_plugged_in_network_is_asked_for_and_ours_takes_none():
    model = unsettled(describe(architecture="custom"), own=PLAIN)
    with pytest.raises(ModelError, match="'custom' architecture needs its Network"):
        Cnn.from_arrays(model.design, model.arrays())
    with pytest.raises(ModelError, match="'light' architecture is one of ours"):
        Cnn.from_arrays(describe(), unsettled(describe()).arrays(), PLAIN)


# ---- the same mathematics elsewhere ----


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [("light", (30, 29, 1)), ("light", (8, 9, 10, 1)), ("resnet18", (68, 66, 3))],
)
def test_pytorch_gives_the_same_logits_for_the_same_weights(architecture, shape):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from medkern.bench.twin import Twin

    *size, channels = shape
    design = describe(tuple(size), architecture=architecture, channels=channels, blocks=2)
    model = unsettled(design)
    x = scale(jnp.asarray(images(3, design)), design)
    logits, _, _ = jax.jit(design.network().apply, static_argnums=3)(
        model.params, model.state, x, False
    )
    _, stride, pool = network.stem(architecture, tuple(size))
    twin = Twin(model.params, model.state, stride, pool).eval()
    with torch.inference_mode():
        theirs = twin(torch.from_numpy(np.moveaxis(np.array(x), -1, 1).copy())).numpy()
    assert np.abs(theirs).max() > 0.1
    np.testing.assert_allclose(logits, theirs, atol=1e-4)


def test_folding_the_normalisation_changes_nothing():
    """Training mode on a batch, then prediction with that batch's own mean and variance."""
    design = describe((10, 10))
    model = unsettled(design)
    x = scale(jnp.asarray(images(8, design)), design)
    apply = jax.jit(design.network().apply, static_argnums=3)
    trained, _, _ = apply(model.params, model.state, x, True)
    still = jax.tree.map(jnp.zeros_like, model.state)  # what DECAY keeps of it is then nothing
    _, _, after = apply(model.params, still, x, True)
    own = jax.tree.map(lambda leaf: leaf / (1 - network.DECAY), after)
    predicted, _, same = apply(model.params, own, x, False)
    np.testing.assert_allclose(predicted, trained, atol=1e-5)
    assert all(map(np.array_equal, jax.tree.leaves(same), jax.tree.leaves(own)))
