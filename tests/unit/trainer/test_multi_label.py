"""Labels of rows, thresholds of labels, and what answers are worth."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.api.dataset import Clean
from modelyard_trainer.baselines import label_scores
from modelyard_trainer.data.checks import Counts, check_rows
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import SPLITS
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.linear_probe import fitted_each, rarest
from modelyard_trainer.tasks.multi_label_classification import learner, rows, thresholds
from modelyard_trainer.tasks.multi_label_classification.codec import Labeller, measured
from modelyard_trainer.tasks.protocols import Fields

COLUMNS = {name: name for name in ("text", "labels")}
LABELS = ["a", "b", "c"]


def labeller(borders: list[float] | None = None) -> Labeller:
    reader = SimpleNamespace(**dict.fromkeys(("read", "packed", "unpacked", "batch", "extremes", "save")))
    return Labeller(cast(Any, reader), LABELS, borders or [])


@pytest.mark.parametrize(
    "labels",
    [["b", "a"], '["b", "a"]', "b, a", "b|a", "a;b;", ["a", "b", "a", ""], "a,b,a", (" a , b ")],
)
def test_a_row_may_be_written_in_several_ways(labels: Any) -> None:
    assert rows.fields({"text": "x", "labels": labels}, COLUMNS) == {"text": "x", "labels": ["a", "b"]}


@pytest.mark.parametrize("labels", [None, "", [], "[]", float("nan"), " ", [""], [None]])
def test_a_row_without_labels_has_none_of_them(labels: Any) -> None:
    assert rows.fields({"text": "x", "labels": labels}, COLUMNS) == {"text": "x", "labels": []}
    assert rows.fields({"text": " ", "labels": labels}, COLUMNS) is None
    assert rows.fields({"text": "x"}, COLUMNS) == {"text": "x", "labels": []}


def test_numbers_and_lists_with_separators_inside_are_labels() -> None:
    assert rows.fields({"text": "x", "labels": [2, True, "a, b"]}, COLUMNS) == {
        "text": "x",
        "labels": ["2", "a, b", "true"],
    }
    assert rows.fields({"text": "x", "labels": 3}, COLUMNS) == {"text": "x", "labels": ["3"]}
    assert rows.fields({"text": "x", "labels": "[a, b"}, COLUMNS) == {"text": "x", "labels": ["[a", "b"]}


@pytest.mark.parametrize("labels", [{"a": 1}, [["a"]], [{"name": "a"}], '{"a": 1}x[', '[["a"]]'])
def test_what_is_no_list_of_labels_is_told(labels: Any) -> None:
    if isinstance(labels, str) and not labels.startswith("["):
        assert rows.fields({"text": "x", "labels": labels}, COLUMNS) is not None
        return
    with pytest.raises(ValueError, match="column labels is no list of labels: give a list of texts"):
        rows.fields({"text": "x", "labels": labels}, COLUMNS)


def test_cleaning_and_spelling_leave_each_label_once() -> None:
    row = {"text": " \uff21 ", "labels": ["\uff41", "a", "\xa0"]}
    assert rows.cleaned(row, Clean()) == {"text": "A", "labels": ["a"]}
    assert rows.cleaned({"text": "\xa0", "labels": ["a"]}, Clean()) == "empty"
    assert rows.cleaned({"text": "ab", "labels": []}, Clean(min_chars=3)) == "short"
    assert rows.relabelled({"text": "x", "labels": ["1", "1.0"]}, {"1.0": "1"})["labels"] == ["1"]


def best_by_trying(scores: np.ndarray, truth: np.ndarray) -> float:
    """The best F1 that any threshold gives."""
    found = [0.0]
    for border in scores:
        named = scores >= border
        found.append(2 * float((named & (truth > 0)).sum()) / float(named.sum() + truth.sum()))
    return max(found)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 80), st.sampled_from([1, 3, 100]))
def test_a_threshold_has_the_best_f1_of_all(seed: int, count: int, steps: int) -> None:
    """Of scores that are often the same, too: these fall on one side."""
    chance = np.random.default_rng(seed)
    scores = np.round(chance.normal(size=(count, 1)) * steps) / steps
    truth = (scores + chance.normal(size=(count, 1)) > 0.5).astype(float)
    [border] = thresholds.found(scores, truth)
    if thresholds.FEW <= truth.sum() <= count - thresholds.FEW:
        named = scores[:, 0] >= border
        f1 = 2 * float((named & (truth[:, 0] > 0)).sum()) / float(named.sum() + truth.sum())
        assert f1 == pytest.approx(best_by_trying(scores[:, 0], truth[:, 0]))
    else:
        assert border == thresholds.HALF


def test_labels_with_few_rows_share_a_threshold() -> None:
    chance = np.random.default_rng(0)
    truth = np.zeros((200, 3))
    truth[:80, 0], truth[:3, 1] = 1, 1
    scores = np.where(truth > 0, -1.0, -4.0) + 0.1 * chance.normal(size=truth.shape)
    own, few, never = thresholds.found(scores, truth)
    assert -4 < own < -1
    assert few == never
    assert -4 < few < -1
    assert thresholds.found(scores[:5], truth[:5]) == [thresholds.HALF] * 3
    scores[5, 0] = np.nan
    assert thresholds.found(scores, truth)[0] == thresholds.HALF


def test_an_answer_names_what_reaches_its_threshold() -> None:
    codec = labeller([0.0, -2.0, 3.0])
    found = codec.decided(np.array([0.0, -1.5, 2.5], dtype=np.float32))
    assert found["labels"] == ["a", "b"]
    assert found["scores"]["a"] == 0.5
    assert list(found["scores"]) == LABELS
    extreme = codec.decided(np.array([1000.0, -1000.0, 0.0], dtype=np.float32))
    assert (extreme["scores"]["a"], extreme["scores"]["b"]) == (1.0, 0.0)
    values = codec.values([found, extreme])
    assert [json.loads(row) for row in values["labels"]] == [["a", "b"], ["a"]]
    assert values["scores"].shape == (2, 3)
    assert not codec.finite(codec.decided(np.full(3, np.nan, dtype=np.float32)))


def test_two_outputs_are_the_same_answer_unless_a_sure_label_differs() -> None:
    codec = labeller([0.0, -2.0, 3.0])
    one = np.array([0.01, -2.5, 4.0])
    assert codec.same_answer(one, np.array([-0.01, -2.5, 4.0]), 0.02)
    assert not codec.same_answer(one, np.array([-0.01, -2.5, 4.0]), 0.005)
    assert not codec.same_answer(one, np.array([0.01, -1.9, 4.0]), 0.02)


def test_metrics_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    chance = np.random.default_rng(3)
    truth = chance.random((100, 3)) < [0.5, 0.3, 0.1]
    named = truth ^ (chance.random((100, 3)) < 0.2)

    def sets(table: np.ndarray) -> list[list[str]]:
        return [[LABELS[at] for at in np.flatnonzero(row)] for row in table]

    found = measured([{"labels": one} for one in sets(named)], [{"labels": one} for one in sets(truth)])
    assert found.values == pytest.approx(
        {
            "micro_f1": f1_score(truth, named, average="micro"),
            "macro_f1": f1_score(truth, named, average="macro"),
            "subset_accuracy": accuracy_score(truth, named),
        },
        abs=1e-6,
    )
    judged = zip(*precision_recall_fscore_support(truth, named, zero_division=0), strict=True)
    for label, expected in zip(LABELS, judged, strict=True):
        ours = found.per_class[label]
        assert [ours[name] for name in ("precision", "recall", "f1", "support")] == pytest.approx(expected, abs=1e-6)


def test_a_label_that_was_never_learnt_counts_as_missed() -> None:
    codec = labeller()
    row = {"text": "x", "labels": ["a", "unheard"]}
    assert codec.truth(row).tolist() == [1, 0, 0]
    found = codec.measure([{"labels": ["a"]}], [row])
    assert found.per_class["unheard"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert found.values["micro_f1"] == pytest.approx(2 / 3, abs=1e-6)


def counts_of(train: list[tuple[str, ...]], test: list[tuple[str, ...]]) -> Counts:
    found = Counts()
    for split, labels in [*(("train", one) for one in train), *((name, one) for name in SPLITS[1:] for one in test)]:
        found.add(split, labels)
    return found


def test_preparation_says_what_is_not_learnt_and_goes_on() -> None:
    notes = Notes("labels", "labels")
    from collections import Counter

    check_rows(counts_of([("a",), ()], [("a", "b")]), Counter(), notes, "s3://x", False, labeller=True)
    assert "class 'b' has 2 rows, none of them to learn from" in notes.found[0]
    with pytest.raises(TrainerError, match=r"class 'b' has no training rows"):
        check_rows(counts_of([("a",), ("c",)], [("b",)]), Counter(), Notes("label"), "s3://x")
    with pytest.raises(TrainerError, match=r"none of 4 rows has a class: check spec\.source\.columns\.labels"):
        check_rows(counts_of([(), ()], [()]), Counter(), Notes("labels", "labels"), "s3://x", False, labeller=True)


def test_the_commonest_labels_are_as_many_as_pay() -> None:
    chance = random.Random(1)
    for _ in range(20):
        odds = [chance.random() for _ in LABELS]
        train: list[Fields] = [
            {"labels": [one for one, share in zip(LABELS, odds, strict=True) if chance.random() < share]}
            for _ in range(60)
        ]
        train.append({"labels": ["a"]})
        [answer] = learner.commonest(train, train[:1])
        reached = measured([answer] * len(train), train).values["micro_f1"]
        for size in range(1, 8):
            other = {"labels": [one for at, one in enumerate(LABELS) if size >> at & 1]}
            assert reached >= measured([other] * len(train), train).values["micro_f1"] - 1e-6


def test_words_tell_each_label_by_itself() -> None:
    chance = random.Random(2)
    known: list[Fields] = []
    for number in range(160):
        labels = [label for label in LABELS if chance.random() < 0.5]
        words = [*(f"word{label}" for label in labels), *chance.choices(["the", "was", "and", "day"], k=4)]
        known.append({"text": " ".join(words), "labels": [*labels, *(["all"] if number % 2 else [])]})
    codec = labeller()
    codec.judging = known[80:120]
    answers = learner.by_words(codec, known[:80], known[120:])
    assert (
        measured(answers, [{"labels": [o for o in r["labels"] if o != "all"]} for r in known[120:]]).values["micro_f1"]
        > 0.95
    )
    truth = np.array([[1.0, 0.0] for _ in range(80)])
    always = label_scores(known[:80], truth, known[:3])
    assert (always[:, 0] > 0).all()
    assert (always[:, 1] < 0).all()


@pytest.mark.parametrize("biased", [True, False])
def test_a_new_head_starts_with_a_regression_per_label(biased: bool) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    chance = np.random.default_rng(4)
    features = 3 + chance.normal(size=(200, 5)) * [1, 10, 0.1, 1, 1]
    truth = (features @ chance.normal(size=(5, 3)) > 0).astype(np.float32)
    truth[:, 2] = 0
    weights, biases = fitted_each(features, truth, biased)
    assert (weights.shape, biases.shape) == ((3, 5), (3,))
    scaler = StandardScaler(with_mean=biased).fit(features)
    known = LogisticRegression(C=0.01, fit_intercept=biased, tol=1e-8).fit(scaler.transform(features), truth[:, 0])
    expected = known.decision_function(scaler.transform(features))
    assert features @ weights[0] + biases[0] == pytest.approx(expected, abs=0.02)
    assert (features @ weights[2] + biases[2] < 0).mean() > 0.9 or not biased
    assert rarest(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]])).tolist() == [1, 0, 3]
