"""What decides a run and a preparation: every field of FineTuneJob and Dataset, dotted, as deciding or not.

A field of a block is named by its own path; `[]` stands for the items of a list. A block without rows below it counts
as a whole, one with rows below it counts by being there. A test compares the table with the models: a field in neither
half or in both turns it red.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

ALWAYS: Any = object()
"""Birth value of a field that decides since the first release: it is never left out."""


@dataclass(frozen=True)
class Table:
    """The fields of one spec."""

    deciding: Mapping[str, Any]
    """Path -> birth value: what an object has that knows nothing of the field. A field that is added later means 'as
    before' with it, and is left out of the hash while it has it; so it moves the hash of nothing that exists."""
    other: frozenset[str]

    def decisive(self, spec: dict[str, Any]) -> dict[str, Any]:
        """What counts of a dumped spec: path -> value, items of lists by their number."""
        return {where: value for where, path, value in self._leaves(spec, "", "") if self._counts(path, value)}

    def _counts(self, path: str, value: Any) -> bool:
        birth = self.deciding.get(path, value)
        return birth is ALWAYS or bool(birth != value)

    def _leaves(self, value: Any, where: str, path: str) -> Iterator[tuple[str, str, Any]]:
        if isinstance(value, dict) and path in self._blocks:
            if path in self.deciding:
                yield where, path, {}
            for name, item in value.items():
                yield from self._leaves(item, f"{where}.{name}".lstrip("."), f"{path}.{name}".lstrip("."))
        elif isinstance(value, list) and path in self._blocks:
            for number, item in enumerate(value):
                yield from self._leaves(item, f"{where}[{number}]", f"{path}[]")
        else:
            yield where, path, value

    @cached_property
    def _blocks(self) -> frozenset[str]:
        """Paths with rows below them; the whole spec is one."""
        ends = [(row, end.start()) for row in self.deciding for end in re.finditer(r"\.|\[\]", row)]
        return frozenset({"", *(row[:end] for row, end in ends)})


def _always(*paths: str) -> dict[str, Any]:
    return dict.fromkeys(paths, ALWAYS)


COLUMNS = ("text", "label", "labels", "tokens", "tags", "source", "target", "summary", "question", "context")
DATASET = Table(
    deciding={
        **_always("task", "revision"),
        **_always(*(f"source.s3.{name}" for name in ("uri", "endpoint", "region", "addressing", "caBundle"))),
        **_always("source.s3.proxy", "source.s3.secret"),
        **_always(*(f"source.inline[].{name}" for name in COLUMNS)),
        **_always("source.format", *(f"source.columns.{name}" for name in COLUMNS)),
        **_always("source.columns.image", "source.columns.objects"),
        **_always("source.columns.messages"),
        **_always("source.inline[].answers[].text", "source.inline[].answers[].start", "source.columns.answers"),
        **_always("prepare[].clean", "prepare[].clean.minChars", "prepare[].clean.normalize"),
        **_always("prepare[].dedupe", "prepare[].dedupe.method", "prepare[].dedupe.threshold", "prepare[].split"),
        **_always(*(f"prepare[].split.{name}" for name in ("test", "validation", "seed", "groupBy", "column", "time"))),
    },
    other=frozenset({"profile", "resources"}),
)
ADAPTERS = ("rank", "alpha", "dropout", "targets")
FINETUNEJOB = Table(
    deciding={
        **_always(
            "model.name",
            "from.base",
            "from.version.model",
            "from.version.number",
            "from.scratch.cnn",
            "from.scratch.resnet",
            "from.scratch.vit",
            "from.scratch.dense",
            "from.scratch.transformer",
            "from.scratch.own",
            "task",
            "export",
            "attempt",
            "objective.fineTune",
        ),
        **_always("dataset.ref", *(f"dataset.inline.{path}" for path in DATASET.deciding)),
        **_always(*(f"method.{name}" for name in ("full", "lora", "head", "layerNorm", "ia3", "adaLora"))),
        **_always(*(f"method.{how}.{name}" for how in ("lora", "adaLora") for name in ADAPTERS)),
        **_always("method.lora.dora", "method.lora.rsLora", "method.full.frozenLayers", "method.full.layerDecay"),
        **_always("input.text.maxLength", "input.image.size", "input.image.augment"),
        **_always("train.epochs", "train.learningRate", "train.schedule", "train.warmup", "train.weightDecay"),
        **_always("train.linearProbe", "train.batchSize", "train.precision", "train.seed"),
        **_always("train.earlyStopping.patience"),
    },
    other=frozenset(
        {
            *("profile", "resources", "evaluate", "checkpoint", "suspend"),
            *(f"dataset.inline.{path}" for path in DATASET.other),
        }
    ),
)
