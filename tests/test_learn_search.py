"""Searched hyper-parameters: the better ones are found, and the figures stay honest."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from medkern.engine.learn import LearnError
from medkern.engine.learn.classical import search as module
from medkern.engine.learn.classical.fit import fit
from medkern.engine.learn.classical.search import GRIDS, candidates, nested, search


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On small tables the threads of libraries would mostly wait for one another."""
    with threadpool_limits(1):
        yield


def rings(n: int = 200, seed: int = 0):
    """A disc of one class in a ring of the other: no line divides them."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 2))
    return values, (np.linalg.norm(values, axis=1) > 1.2).astype(int)


def blobs(n: int = 120, classes: int = 3):
    rng = np.random.default_rng(1)
    truth = np.arange(n) % classes
    values = rng.normal(size=(n, 4))
    values[:, 0] += 1.5 * truth
    return values, truth


@pytest.mark.parametrize("name", ["svm", "tree", "boosted", "knn", "nystroem"])
def test_the_parameters_found_fit_and_learn(name, monkeypatch):
    monkeypatch.setitem(GRIDS, "boosted", {"rate": [0.1, 0.5], "leaves": [7], "rounds": [8]})
    monkeypatch.setitem(GRIDS, "svm", {"C": [1, 10], "gamma": [0.3, 1]})
    monkeypatch.setitem(GRIDS, "nystroem", {"C": [1, 10], "gamma": [0.3, 1], "landmarks": [40]})
    values, truth = rings()
    best = search(name, values, truth, seed=1)
    assert best in candidates(name, values, 1.0, "none")
    _, head = fit(name, values, truth, parameters=best)
    unseen, wanted = rings(seed=9)
    assert roc_auc_score(wanted, head.predict(unseen)[:, 1]) > 0.9


def test_the_better_of_two_is_chosen(monkeypatch):
    monkeypatch.setitem(GRIDS, "tree", {"depth": [1, 5]})
    assert search("tree", *rings())["depth"] == 5
    monkeypatch.setitem(GRIDS, "knn", {"neighbours": [9, 81]})
    assert search("knn", *blobs(), metric="f1")["neighbours"] == 9


def test_worse_candidates_leave_the_race_early(monkeypatch):
    made = []
    pipeline = module.pipeline
    monkeypatch.setattr(module, "pipeline", lambda *a: made.append(a[-1]) or pipeline(*a))
    monkeypatch.setitem(GRIDS, "tree", {"depth": list(range(1, 9))})
    search("tree", *rings())
    assert len(made) == 8 + 4 + 2 + 2 + 2
    assert {"depth": 1} not in made[8:]


def test_a_selections_size_is_searched_too_and_sets_the_width_of_the_kernel():
    values = np.random.default_rng(2).normal(size=(60, 40))
    found = candidates("svm", values, 1.0, "anova")
    assert {one["keep"] for one in found} == {25, 40}
    assert {round(one["gamma"] * one["keep"], 9) for one in found} == {0.1, 0.3, 1}


def test_nested_search_predicts_each_row_once_in_all_classes_and_repeats_itself():
    values, truth = blobs()
    p, chosen = nested("tree", values, truth, seed=3)
    assert p.shape == (120, 3) and len(chosen) == 5
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p.argmax(axis=1) == truth).mean() > 0.5
    again = nested("tree", values, truth, seed=3)
    np.testing.assert_array_equal(p, again[0])
    assert chosen == again[1]


def test_columns_selected_inside_the_folds_make_no_signal_out_of_noise(monkeypatch):
    """Selecting on all rows first, the old mistake, makes 20 of 500 columns of noise tell."""
    monkeypatch.setitem(GRIDS, "linear", {"C": [0.001, 0.1]})
    rng = np.random.default_rng(3)
    values, truth = rng.normal(size=(80, 500)), np.arange(80) % 2
    t = np.abs(values[truth == 1].mean(axis=0) - values[truth == 0].mean(axis=0))
    peeked = values[:, np.argsort(-t)[:20]]
    wrong = roc_auc_score(truth, nested("linear", peeked, truth)[0][:, 1])
    right = roc_auc_score(truth, nested("linear", values, truth, select="anova")[0][:, 1])
    assert wrong > 0.85
    assert right < 0.7


def test_a_model_that_remembers_groups_gains_nothing_by_it():
    """Each group has a colour of its own and a class by chance: known groups are easy."""
    rng = np.random.default_rng(4)
    groups = np.arange(120) // 6
    truth = rng.permutation(np.arange(20) % 2)[groups]
    values = rng.normal(size=(20, 3))[groups] + 0.05 * rng.normal(size=(120, 3))
    leaked, _ = nested("tree", values, truth)
    honest, _ = nested("tree", values, truth, groups)
    assert roc_auc_score(truth, leaked[:, 1]) > 0.85
    assert roc_auc_score(truth, honest[:, 1]) < 0.75


def test_what_cannot_be_searched_is_refused_in_a_sentence():
    values, truth = blobs()
    with pytest.raises(LearnError, match="metric is 'loss'; allowed: auc"):
        search("tree", values, truth, metric="loss")
    with pytest.raises(LearnError, match="model is 'bayes'; allowed: svm"):
        search("bayes", values, truth)
    with pytest.raises(LearnError, match="tree: search needs every class in at least two groups"):
        search("tree", values, truth, truth)
    with pytest.raises(LearnError, match="one class"):
        nested("tree", values, 0 * truth)
