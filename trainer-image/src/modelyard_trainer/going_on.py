"""A run that goes on from a version: its network as it was trained, and of its last layer what the new rows still ask.

A class that both have keeps its row of the last layer, one that is new begins a row at random, and one that the rows do
not have any more is gone. Another task's last layer says nothing about this one's classes.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks.text_base import label_settings

log = logging.getLogger(__name__)
STD = 0.02
"""Of random rows of a last layer, as the library begins them."""


def network(run: TrainRun, kinds: Mapping[str, Any], labels: Sequence[str]) -> tuple[Any, list[str]]:
    """The version's network by a class of `kinds` (by model_type), and names of weights that start untrained.

    ValueError if the files are not those of such a network.
    """
    settings = json.loads((run.base / "config.json").read_text())
    made = kinds.get(settings.get("model_type"))
    if made is None:
        raise ValueError(f"its type is '{settings.get('model_type')}', known are {', '.join(kinds)}")
    model = made(made.config_class.from_dict({**settings, **label_settings(labels)}))
    rows = [] if _labels(run) == list(labels) else rows_of_classes(model)
    weights, found = model.state_dict(), _weights(run.base)
    wrong = [name for name in weights if name not in rows and _shape(found, name) != weights[name].shape]
    if wrong:
        raise ValueError(f"{len(wrong)} weights are missing or of another size ({', '.join(wrong[:3])} ...)")
    model.load_state_dict({name: found[name] for name in weights if name not in rows}, strict=False)
    return model, _with_classes(run, model, labels, rows, found)


def with_classes(run: TrainRun, model: Any, labels: Sequence[str], new: Sequence[str]) -> list[str]:
    """A model that was read from the version's folder, its last layer for these classes; names of untrained weights.

    `new` are those that the folder did not bring. A last layer that knows some of its classes counts as brought.
    """
    import torch

    if run.parent is None or _labels(run) == list(labels):
        return list(new)
    rows, weights = rows_of_classes(model), model.state_dict()
    for name in rows:  # where there were as many classes, it has the rows of others
        torch.nn.init.normal_(weights[name], std=STD if weights[name].dim() > 1 else 0.0)
    untrained = _with_classes(run, model, labels, rows, _weights(run.base))
    return sorted({*untrained, *(name for name in new if name not in rows)})


def _with_classes(
    run: TrainRun, model: Any, labels: Sequence[str], rows: Sequence[str], found: Mapping[str, Any]
) -> list[str]:
    """Put the version's rows where both have the class; `rows`, the weights with a row per class, if there is none.

    `found` are all weights of the version.
    """
    if not rows:
        return []
    before, weights = _labels(run), model.state_dict()
    known = [label for label in labels if label in before] if all(name in found for name in rows) else []
    for name in rows if known else ():
        _put(weights[name], found[name], [(labels.index(one), before.index(one)) for one in known])
    gone, fresh = [one for one in before if one not in labels], [one for one in labels if one not in known]
    run.figures["classes"] = {"kept": len(known), "new": len(fresh), "dropped": gone}
    log.info("of the version's last layer %d classes are kept, %d are new, %d gone", len(known), len(fresh), len(gone))
    return [] if known else list(rows)


def rows_of_classes(model: Any) -> list[str]:
    """Names of the weights with a row per class: those that would be larger with one class more."""
    import torch

    config = copy.deepcopy(model.config)
    config.num_labels = model.config.num_labels + 1
    with torch.device("meta"):
        larger = type(model)(config).state_dict()
    return [name for name, weight in model.state_dict().items() if weight.shape != larger[name].shape]


def _labels(run: TrainRun) -> list[str]:
    """Classes of the version, if it is for this very task."""
    return run.parent.labels if run.parent is not None and run.parent.task == run.config.task else []


def _put(weight: Any, found: Any, known: Sequence[tuple[int, int]]) -> None:
    """Rows (of the weight, of what was found) of classes that are known."""
    import torch

    with torch.no_grad():
        for row, before in known:
            weight[row] = found[before]


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: weight for path in sorted(folder.glob("*.safetensors")) for name, weight in load_file(path).items()}


def _shape(found: Mapping[str, Any], name: str) -> Any:
    return found[name].shape if name in found else None
