"""The weights that a new head starts with."""

from __future__ import annotations

import numpy as np
import pytest

from modelyard_trainer.linear_probe import chosen, fitted


def clouds(sizes: list[int], spread: float = 0.3, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Features around one centre per class, far from zero and of very different scale; shuffled."""
    chance = np.random.default_rng(3)
    centres = 4 * chance.normal(size=(len(sizes), width))
    targets = chance.permutation(np.repeat(np.arange(len(sizes)), sizes))
    scale = np.geomspace(0.01, 100, width)
    return scale * (10 + centres[targets] + spread * chance.normal(size=(len(targets), width))), targets


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("sizes", [[40, 40], [3, 90], [250, 25, 100, 45, 155]], ids=str)
def test_the_start_answers_features_as_they_are(sizes: list[int], biased: bool) -> None:
    features, targets = clouds(sizes)
    weights, biases = fitted(features, targets, len(sizes), biased)
    assert weights.shape == (len(sizes), features.shape[1]) and biases.shape == (len(sizes),)
    assert biased or not biases.any()
    assert np.mean((features @ weights.T + biases).argmax(axis=1) == targets) > 0.95


def test_a_feature_that_never_changes_is_no_fault() -> None:
    features, targets = clouds([30, 30])
    features[:, 0] = 7.0
    assert np.isfinite(fitted(features, targets, 2, True)[0]).all()


def test_the_same_rows_give_the_same_start() -> None:
    features, targets = clouds([50, 5, 20])
    assert np.array_equal(fitted(features, targets, 3, True)[0], fitted(features, targets, 3, True)[0])


def test_no_small_class_is_left_out_of_a_choice() -> None:
    _, targets = clouds([5000, 3, 400, 1])
    rows = chosen(targets, 100)
    assert len(set(rows.tolist())) == 100 and rows.tolist() == sorted(rows.tolist())
    assert np.bincount(targets[rows]).tolist() == [48, 3, 48, 1]


@pytest.mark.parametrize("most", [10, 11])
def test_few_rows_are_all_taken(most: int) -> None:
    assert chosen(np.zeros(10, dtype=np.int64), most).tolist() == list(range(10))


def test_a_class_without_rows_gets_no_weights() -> None:
    features, targets = clouds([20, 20, 20])
    weights, _ = fitted(features, np.where(targets == 1, 2, targets), 4, True)
    assert not weights[1].any() and not weights[3].any() and weights[2].any()
