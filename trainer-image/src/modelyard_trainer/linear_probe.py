"""A new head starts as the best linear one for the base's features, in place of random weights.

With random weights there, training first bends the features towards a head that knows nothing: with many classes, few
steps or a high rate they never recover. Linear probing, then fine-tuning, after Kumar et al., "Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution", ICLR 2022.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from modelyard_trainer.graphs import torch_graphs
from modelyard_trainer.predict import batches, size_at_once
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learner_of
from modelyard_trainer.tasks.protocols import Reading

log = logging.getLogger(__name__)
MOST_ROWS = 10_000
MOST_NUMBERS = 5_000_000_000
"""Rows x features x classes that a step of the solver goes through; more of the last two mean fewer rows."""
STEPS = 100
STRENGTH = 0.01
"""Inverse of the penalty on weights of features with variance 1 (`C` of scikit-learn)."""


def start_head(run: TrainRun, model: Any, precision: AbstractContextManager[Any]) -> None:
    """Give the model's last layer the weights of a logistic regression on what reaches it for the training rows.

    `precision` is the context that training computes in. A base whose features are not numbers keeps its random head:
    what is wrong with it, training tells.
    """
    started, codec, learner = time.monotonic(), run.codec, learner_of(run.config.task)
    train, read = run.rows["train"], run.read["train"]
    targets = np.array([learner.targets(codec, row, reading) for row, reading in zip(train, read, strict=True)])
    layer = _last_layer(model, len(codec.labels))
    most = min(MOST_ROWS, MOST_NUMBERS // (layer.in_features * layer.out_features))
    rows = chosen(targets if targets.ndim == 1 else rarest(targets), most)
    features = _features(run, model, layer, [read[row] for row in rows], precision)
    if np.isfinite(features).all():
        _put(layer, *_fitted(features, targets[rows], len(codec.labels), layer.bias is not None))
        run.figures["linear_probe"] = {"rows": len(rows), "seconds": round(time.monotonic() - started, 1)}
        log.info("the head starts from a logistic regression on %d rows", len(rows))


def _fitted(features: np.ndarray, targets: np.ndarray, classes: int, biased: bool) -> tuple[np.ndarray, np.ndarray]:
    """By a number per row, its class; or by a number per row and class, whether it has it."""
    if targets.ndim == 1:
        return fitted(features, targets, classes, biased)
    return fitted_each(features, targets, biased)


def _features(
    run: TrainRun, model: Any, layer: Any, read: Sequence[Reading], precision: AbstractContextManager[Any]
) -> np.ndarray:
    """What reaches the layer, (rows, features), by the graph whose output is the layer's own."""
    hook = layer.register_forward_hook(lambda module, inputs, output: inputs[0])
    graph = torch_graphs(learner_of(run.config.task).parts(model))["model"]
    found: list[Any] = [None] * len(read)
    try:
        with precision:
            for batch in batches([reading.size for reading in read], size_at_once(run)):
                (part,) = graph(run.codec.batch([read[row] for row in batch])).values()
                for row, features in zip(batch, part, strict=True):
                    found[row] = features
    finally:
        hook.remove()
    stacked: np.ndarray = np.stack(found)
    return stacked


def chosen(targets: np.ndarray, most: int) -> np.ndarray:
    """At most so many row numbers, from each class in turn: no small one is left out. Rows lie in hash order."""
    if len(targets) <= most:
        return np.arange(len(targets))
    by_class: np.ndarray = np.argsort(targets, kind="stable")
    sizes = np.bincount(targets)
    within = np.arange(len(targets)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    first: np.ndarray = np.sort(by_class[np.argsort(within, kind="stable")[:most]])
    return first


def rarest(truth: np.ndarray) -> np.ndarray:
    """The class of each row that the fewest rows have; of a row without any, one more than there are."""
    counts = truth.sum(axis=0)
    found: np.ndarray = np.where(truth > 0, counts, np.inf).argmin(axis=1)
    found[~truth.any(axis=1)] = truth.shape[1]
    return found


def fitted(features: np.ndarray, targets: np.ndarray, classes: int, biased: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights (classes, features) and biases (classes) for features as they are; a class without rows gets zeros."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(with_mean=biased).fit(features)
    model = LogisticRegression(C=STRENGTH, max_iter=STEPS, fit_intercept=biased)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near is enough: training goes on from here
        model.fit(scaler.transform(features), targets)
    slopes, offsets = model.coef_ / scaler.scale_, model.intercept_ * np.ones(len(model.coef_))
    if biased:
        offsets = offsets - slopes @ scaler.mean_
    if len(model.classes_) == 2:  # one row of numbers says how much likelier the second class is
        slopes, offsets = np.stack([-slopes[0], slopes[0]]) / 2, np.array([-offsets[0], offsets[0]]) / 2
    weights, biases = np.zeros((classes, features.shape[1])), np.zeros(classes)
    weights[model.classes_], biases[model.classes_] = slopes, offsets
    return weights, biases


def fitted_each(features: np.ndarray, truth: np.ndarray, biased: bool) -> tuple[np.ndarray, np.ndarray]:
    """As `fitted`, with a yes or no for each class by itself, all at once; truth (rows, classes) is 0 or 1."""
    from scipy.optimize import minimize
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(with_mean=biased).fit(features)
    known = scaler.transform(features)
    classes, width = truth.shape[1], known.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        slopes, offsets = flat[: classes * width].reshape(classes, width), flat[classes * width :]
        logits = known @ slopes.T + (offsets if biased else 0.0)
        wrong = 1 / (1 + np.exp(-np.clip(logits, -500, 500))) - truth
        total = STRENGTH * (np.logaddexp(0, logits) - truth * logits).sum() + (slopes**2).sum() / 2
        return float(total), np.concatenate(
            [(STRENGTH * wrong.T @ known + slopes).ravel(), STRENGTH * wrong.sum(axis=0) * biased]
        )

    found = minimize(loss, np.zeros(classes * (width + 1)), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    slopes, offsets = found[: classes * width].reshape(classes, width) / scaler.scale_, found[classes * width :]
    return slopes, offsets - slopes @ scaler.mean_ if biased else offsets


def _last_layer(model: Any, classes: int) -> Any:
    """The trained layer that gives the logits; peft keeps an untrained copy beside it."""
    import torch

    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    return [layer for layer in layers if layer.out_features == classes and layer.weight.requires_grad][-1]


def _put(layer: Any, weights: np.ndarray, biases: np.ndarray) -> None:
    import torch

    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(biases))
