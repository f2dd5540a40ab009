"""Text classification without torch: metrics, decoding, padding."""

from __future__ import annotations

import random
from typing import Any, cast

import numpy as np
import pytest

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import prepared
from modelyard_trainer.tasks.classes import answer_of, certain, labels_of, measure
from modelyard_trainer.tasks.texts import TextReader, pad, parse


def test_metrics_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    chance = random.Random(3)
    labels = ["a", "b", "c", "d"]
    truth = [chance.randrange(4) for _ in range(200)]
    guess = [number if chance.random() < 0.6 else chance.randrange(3) for number in truth]
    rows = [{"label": labels[number]} for number in truth]
    found = measure([certain(labels[number]) for number in guess], rows, labels, "macro_f1")
    assert found.values["macro_f1"] == pytest.approx(f1_score(truth, guess, average="macro"), abs=1e-6)
    assert found.values["accuracy"] == pytest.approx(accuracy_score(truth, guess), abs=1e-6)
    judged = zip(*precision_recall_fscore_support(truth, guess, labels=range(4), zero_division=0), strict=True)
    for label, (precision, recall, f1, support) in zip(labels, judged, strict=True):
        ours = found.per_class[label]
        assert (ours["precision"], ours["recall"], ours["f1"]) == pytest.approx((precision, recall, f1), abs=1e-6)
        assert ours["support"] == support


def test_class_that_is_never_predicted() -> None:
    found = measure([certain("a"), certain("a")], [{"label": "a"}, {"label": "b"}], ["a", "b"], "macro_f1")
    assert found.per_class["b"]["f1"] == 0.0
    assert found.values["macro_f1"] == pytest.approx(1 / 3, abs=1e-6)


def test_decode_gives_probabilities() -> None:
    (first, second) = (answer_of(np.array(logits), ["a", "b"]) for logits in ([0.0, 0.0], [1000.0, 0.0]))
    assert first["scores"] == {"a": 0.5, "b": 0.5}
    assert (second["label"], second["score"]) == ("a", 1.0)


def test_pad_masks_what_it_fills() -> None:
    found = pad([[5, 6, 7], [8]], 9)
    assert found["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert found["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert found["input_ids"].dtype == np.int64


def test_labels_are_in_a_fixed_order() -> None:
    assert labels_of([{"label": label} for label in "bab"]) == ["a", "b"]


def test_a_text_of_no_tokens_is_still_a_row() -> None:
    found = pad([[], [5, 6]], 9)
    assert found["input_ids"].tolist() == [[9, 9], [5, 6]]
    assert found["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert pad([[]], 9)["input_ids"].shape == (1, 1)


@pytest.mark.parametrize("instance", ["tea", b"tea", {"text": "tea", "id": 5}, {"text": b"tea"}])
def test_instances_that_hold_a_text(instance: Any) -> None:
    assert parse(instance) == "tea"


@pytest.mark.parametrize(
    ("instance", "told"),
    [
        ({}, "has no 'text'"),
        ({"text": None}, "must be a string, not NoneType"),
        (["tea"], "must be a string, not list"),
        (5, "must be a string, not int"),
        (b"\xff", "not valid Unicode"),
        ("\ud800", "not valid Unicode"),
        ({"text": {"text": "tea"}}, "must be a string, not dict"),
    ],
)
def test_instances_that_hold_none(instance: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(instance)


def reader(steps: list[Clean]) -> TextReader:
    return TextReader(cast(Any, None), 0, 32, steps)


def test_requests_are_prepared_as_rows_are() -> None:
    steps = [Clean(normalize="nfkc")]
    wide = " " + "tea".translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    assert reader(steps).texts([{"text": f"{wide}\n"}, "tea"]) == ["tea", "tea"]
    assert reader([]).texts([wide]) == [wide]
    once = prepared("\u3000\ufb01ne e\u0301 ", steps)
    assert prepared(once, steps) == once == "fine é"
