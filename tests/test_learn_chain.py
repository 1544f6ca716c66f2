"""The chain on arrays of other libraries: the same model, and the rows never leave their kind."""

import numpy as np
import pytest

from medkern.engine.learn import LearnError
from medkern.engine.learn.classical import chain
from medkern.engine.learn.classical.heads import check


def rows(classes: int, n: int = 300, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    values = rng.normal(size=(n, 5)) * [1, 10, 1e4, 1, 1] + [0, 0, 1e5, 3, 0]
    values[:, 0] += 1.5 * truth
    values[rng.random(n) < 0.1, 1] = np.nan
    values[0, 3] = np.inf
    values[:, 4] = 2
    return values, truth


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_predicts_what_the_chain_predicts(classes):
    values, truth = rows(classes)
    steps, head = chain.fit(values, truth, landmarks=40)
    unseen, wanted = rows(classes, n=500, seed=1)
    p = chain.predict(steps, unseen)
    head = check("chain", head.kind, head.arrays, 5, classes)
    np.testing.assert_allclose(head.predict(unseen), p, atol=1e-6)
    assert (p.argmax(axis=1) == wanted).mean() > 1.3 / classes


# scikit-learn's scaler divides 0 by 0 in a column without a value, and strict arrays say so
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
@pytest.mark.parametrize("classes", [2, 3])
def test_another_librarys_arrays_give_the_same_model_in_that_library(library, classes, monkeypatch):
    xp = pytest.importorskip(library)
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    values, truth = rows(classes)
    steps, head = chain.fit(xp.asarray(values), xp.asarray(truth), landmarks=40)
    p = chain.predict(steps, xp.asarray(values))
    kind = type(xp.asarray(values))
    assert type(p) is kind
    for step, name in (
        ("standardise", "mean_"), ("landmarks", "components_"),
        ("landmarks", "normalization_"), ("model", "coef_"),
    ):  # fmt: skip
        assert type(getattr(steps[step], name)) is kind
    ours, own = chain.fit(values, truth, landmarks=40)
    np.testing.assert_allclose(chain.host(p), chain.predict(ours, values), atol=1e-6)
    np.testing.assert_allclose(head.predict(values), own.predict(values), atol=1e-6)


def test_no_rows_pass_through_numpy_on_their_way(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    values, truth = rows(3)
    x, y = torch.asarray(values), torch.asarray(truth)
    passed = []
    for way in ("numpy", "__array__"):
        original = getattr(torch.Tensor, way)

        def watched(self, *a, original=original, **k):
            passed.append(self.numel())
            return original(self, *a, **k)

        monkeypatch.setattr(torch.Tensor, way, watched)
    steps, _ = chain.fit(x, y, landmarks=10)
    chain.predict(steps, x)
    # the class numbers once, and the weights (3 classes, 10 landmarks and a bias); never 300 rows
    # of 5 features, of 10 kernel values or of 3 probabilities
    assert max(passed) <= 300


def test_without_scipys_switch_foreign_arrays_are_refused_in_a_sentence(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.delenv("SCIPY_ARRAY_API", raising=False)
    values, truth = rows(2)
    with pytest.raises(LearnError, match="arrays of torch need SCIPY_ARRAY_API=1"):
        chain.fit(torch.asarray(values), torch.asarray(truth))


def test_a_missing_class_is_refused_before_anything_is_fitted():
    values, truth = rows(2)
    with pytest.raises(LearnError, match="one class"):
        chain.fit(values, 0 * truth)
    with pytest.raises(LearnError, match="class number 1 has no row"):
        chain.fit(values, 2 * truth)


def test_single_precision_stays_single_and_near():
    values, truth = rows(2)
    single = values.astype(np.float32)
    steps, head = chain.fit(single, truth, landmarks=40)
    p = chain.predict(steps, single)
    assert p.dtype == np.float32
    np.testing.assert_allclose(head.predict(single), p, atol=1e-3)
