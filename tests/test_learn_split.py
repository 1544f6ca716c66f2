"""A split keeps groups whole, classes in proportion, and what the data say."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern.engine.learn import LearnError, Split, split

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 1000))
def test_no_group_straddles(rows, seed):
    labels = [label for label, _ in rows]
    groups = [f"patient{group}" for _, group in rows]
    parts = split(labels, groups, seed=seed)
    assert parts.grouped
    homes = {(group, part) for group, part in zip(groups, parts.part, strict=True)}
    assert len(homes) == len(set(groups))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_every_class_is_divided_in_proportion(seed):
    generator = np.random.default_rng(seed)
    labels = generator.choice(3, 400, p=[0.7, 0.2, 0.1])
    groups = [f"g{g}" for g in generator.integers(0, 150, 400)]
    parts = split(labels, groups, seed=seed)
    for label in range(3):
        of = labels == label
        for part, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
            assert abs((parts.part[of] == part).mean() - share) < 0.05


def test_the_same_seed_gives_the_same_split_and_another_another():
    labels = np.arange(100) % 2
    same = [split(labels, seed=3).part.tolist() for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != split(labels, seed=4).part.tolist()


def test_unknown_groups_are_said():
    assert not split([0, 1] * 10).grouped
    assert not split([0, 1], ["a", None]).grouped
    assert split([0, 1], ["a", "b"]).grouped


def test_rows_without_a_group_are_not_one_group():
    parts = split([0, 1] * 50, [None] * 100)
    assert [len(parts.rows(part)) for part in ("train", "val", "test")] == [70, 16, 14]


def test_parts_that_come_with_the_data_are_kept():
    given = ["train", "validation", "test", "Training"]
    assert split(list("abab"), given=given).part.tolist() == ["train", "val", "test", "train"]


def test_a_missing_validation_part_is_cut_from_train_by_group():
    groups = [f"p{row // 4}" for row in range(120)]
    given = ["train"] * 100 + ["test"] * 20
    parts = split([0, 1] * 60, groups, given)
    assert (parts.part[100:] == "test").all()
    assert 8 <= len(parts.rows("val")) <= 28
    assert len({(g, p) for g, p in zip(groups, parts.part, strict=True)}) == 30


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([0, 1], ["p", "p"], ["train", "test"]), "group 'p' stands in train and in test"),
        (([0, 1], None, ["train", "tset"]), "a part is named 'tset'; allowed: train, val, test"),
        (([0, 1], None, ["train", None]), "row 1 has no part"),
        (([0, 1], ["p"]), "1 groups for 2 labels"),
        (([],), "no labelled rows"),
        (([0, 1], None, None, (0.0, 0.5, 0.5)), "train above 0"),
    ],
)
def test_what_would_leak_or_mislead_is_refused(arguments, sentence):
    with pytest.raises(LearnError, match=sentence):
        split(*arguments)


def test_rows_are_indices():
    assert Split(np.array(["val", "train", "val"]), "given").rows("val").tolist() == [0, 2]
