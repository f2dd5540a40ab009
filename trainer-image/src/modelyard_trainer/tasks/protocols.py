"""What a task consists of: rows (data), a codec (numbers in, answers out) and a learner (torch).

    source file --RowKind--> row --instance--> Codec.read --> Reading --batch--> graphs --> Output --decode--> answer
                                                                                   |                             |
                                              Learner: model, loss, graphs of it --+          Codec.measure <----+

The codec of a version is the same object in the trainer and in the server, and it imports no torch: what a codec
decodes is what is measured. A graph is one pass through a network, of torch in the trainer and of ONNX Runtime in
the server; a codec that needs several of them (encoder, decoder) or many passes (generation) runs them in `answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from modelyard.api.dataset import Clean
from modelyard.api.modelversion import Metrics

if TYPE_CHECKING:
    import pyarrow as pa

    from modelyard_trainer.run import TrainRun

Fields = dict[str, Any]
"""A row's values by the task's columns (api/tasks.py), in the types of RowKind.schema."""
Instance = dict[str, Any]
"""What a request holds for one row, JSON-ready; bytes are base64 text in it."""
Answer = dict[str, Any]
"""What is answered for one row, JSON-ready."""
Arrays = dict[str, np.ndarray]
"""Arrays by name, the first axis is the row of the batch."""
Output = Any
"""What the graphs gave for one row, without padding: logits, token ids, boxes with scores."""
Packed = dict[str, np.ndarray]
"""Whole numbers by name, of 32 bits and along one axis: what is kept on disk of a row that was read once."""
Graph = Callable[[Arrays], Arrays]
"""One pass: inputs by name -> outputs by name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model reads of one row."""

    inputs: dict[str, np.ndarray]
    """Model inputs of the row, without the batch's axis and without padding."""
    size: int
    """Cost of the row in its batch: tokens, or pixels / 256, of one pass. Rows of similar size are put together."""
    cut: bool = False
    """Whether the model reads less than the row holds."""
    kept: Any = None
    """What `decode` needs of the row beside the outputs, or training beside the row: words of a text, the size of a
    picture, the tokens that it should give."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An output of the V2 protocol: one value, or `shape` values, per row."""

    name: str
    datatype: str
    shape: tuple[int, ...] = ()


class RowKind(Protocol):
    """What a row of the task is; a module. Preparation knows rows only through it."""

    def schema(self) -> pa.Schema:
        """Types of a prepared row's fields, in the order in which a digest reads them."""

    def fields(self, record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | str | None:
        """A row of the cells of a source; None if what it needs is empty; ValueError says which column is wrong.

        `columns`: the source's column per column of the task. A word is another reason to leave the row out.
        """

    def cleaned(self, row: Fields, step: Clean) -> Fields | str:
        """The row after a clean step, or why it is removed: empty, short."""

    def same(self, row: Fields) -> bytes:
        """Equal for rows that ask the model the same."""

    def classes(self, row: Fields) -> tuple[str, ...]:
        """Classes that the row has, for shares of each split and for counting; none where a task has no classes."""

    def relabelled(self, row: Fields, spelt: Mapping[str, str]) -> Fields:
        """The row with its classes in the spelling that is kept."""

    def instance(self, row: Fields) -> Instance:
        """What a request would hold to ask for this row's answer."""


class Codec(Protocol):
    """How one version reads instances and writes answers; made by `fit` in the trainer and by `load` in the server.

    Safe to use from several threads.
    """

    labels: list[str]
    """Classes in the order of the model's outputs; empty where the task has none."""
    keys: tuple[str, ...]
    """Fields of an instance, each the name of a V2 input tensor: text; image; question and context.

    Of an instance with one field its value alone may be sent."""
    tensors: tuple[Tensor, ...]
    """Outputs of the V2 protocol."""
    one_size: int | None
    """Size of every reading, where all have one: such rows (pictures) are read anew whenever they are asked for, and
    nothing of them is kept. None where a row is read once, and kept: such a codec is a KeepingCodec."""

    def parse(self, value: Any) -> Any:
        """One instance of a request, {key: ...} or, of a single key, the value itself, checked.

        ValueError says what it is instead.
        """

    def read(self, values: Sequence[Any]) -> list[Reading]:
        """Instances as the model reads them: parsed, prepared as the rows were, encoded."""

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """Model inputs of several rows, padded."""

    def outputs(self, found: Arrays, readings: Sequence[Reading]) -> list[Output]:
        """What one pass through the graph `model` gave, per row."""

    def answer(self, graphs: Mapping[str, Graph], readings: Sequence[Reading]) -> list[Output]:
        """Outputs of a batch of rows; one pass through the graph `model`, or whatever the task takes."""

    def decode(self, output: Output, reading: Reading) -> Answer:
        """The answer to one row."""

    def values(self, answers: Sequence[Answer]) -> dict[str, np.ndarray]:
        """Answers as V2 tensors, by the names of `tensors`."""

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """Quality of answers to the rows, by the metrics of the task, as of the test rows."""

    def difference(self, expected: Output, found: Output) -> float:
        """How far two outputs for one row are apart, in the unit of evaluate.gate.maxExportDifference."""

    def same_answer(self, expected: Output, found: Output, rounding: float) -> bool:
        """Whether two outputs mean the same answer, or one so close to a border that `rounding` may turn it."""

    def as_sent(self, instance: Instance) -> Instance:
        """The instance in another form in which people send it and which must be read alike."""

    def sample(self, instance: Instance) -> Instance:
        """The instance as it is kept beside the version, bounded in size: a server that answers it is alive."""

    def odd(self) -> list[Instance]:
        """Instances that no row holds but some request will: each must be answered, with finite numbers."""

    def finite(self, answer: Answer) -> bool:
        """Whether all numbers of an answer are numbers."""

    def extremes(self, readings: Sequence[Reading]) -> list[Reading]:
        """A row as large as the version reads and the smallest one: the model is tried on both before training."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Leave the codec's files in a version's folder; the settings that `load` needs, JSON-ready."""


class KeepingCodec(Codec, Protocol):
    """One whose rows are read once, and kept."""

    def packed(self, reading: Reading, row: Fields) -> Packed:
        """All of a row's reading that is costly to have again; of the row itself, what is read as a text is."""

    def unpacked(self, packed: Packed, instance: Callable[[], Instance]) -> Reading:
        """The reading again; `instance` gives what was read, where that is needed."""


@runtime_checkable
class Settling(Protocol):
    """A codec whose answers need more than the model: what is found on validation rows, and saved with the version."""

    def settle(self, outputs: Sequence[Output], rows: Sequence[Fields]) -> None:
        """Find it by a model's outputs for validation rows: after each epoch, last of all for the finished model."""


@dataclass(frozen=True, slots=True)
class Part:
    """One graph of a model as torch has it and as it is exported."""

    module: Any
    """torch.nn.Module: inputs by position in the order of `example` -> a tensor, or a tuple in the order of outputs."""
    example: Arrays
    """Small inputs by name, with their types."""
    outputs: tuple[str, ...]
    free: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Axes of each input that may have any length."""


class Learner(Protocol):
    """How a model of the task is made and trained; a module that imports torch only inside its functions."""

    ADAPTER_TASK: str
    """What peft calls the task."""
    LINEAR_PROBE: bool
    """Whether a new last layer may start as a logistic regression."""

    def fit(self, run: TrainRun) -> Codec:
        """The codec for the run's rows: from the base's tokenizer or preprocessor, or from scratch.

        BASE_INVALID for a base of a kind that cannot be adapted to the task.
        """

    def load_model(self, run: TrainRun, codec: Codec) -> tuple[Any, list[str]]:
        """A torch model in fp32 and the names of weights that start untrained; made anew where there is no base."""

    def guessing(self, codec: Codec) -> float:
        """Mean loss of one that knows nothing of a row; infinite where no such number is known."""

    def targets(self, codec: Codec, row: Fields, reading: Reading) -> Any:
        """What the model should give for the row."""

    def augmented(self, codec: Codec, reading: Reading, target: Any, draw: np.random.Generator) -> tuple[Reading, Any]:
        """A training row changed at random, so that the model meets it anew in each epoch; as it is where none fits."""

    def collate(self, codec: Codec, readings: Sequence[Reading], targets: Sequence[Any]) -> dict[str, Any]:
        """Tensors that the model takes in training; it gives their mean loss."""

    def items(self, inputs: Mapping[str, Any]) -> int:
        """Over how many items the model's loss is a mean: rows, or tokens that count."""

    def judged(self, model: Any, inputs: Mapping[str, Any], codec: Codec, readings: Sequence[Reading]) -> Any:
        """Mean loss (a number) and outputs per row, of validation rows; the model is in evaluation mode."""

    def parts(self, model: Any) -> dict[str, Part]:
        """The graphs of a model; one is called `model` unless the codec says otherwise."""

    def baselines(self, codec: Codec) -> Mapping[str, Callable[[Sequence[Fields], Sequence[Fields]], list[Answer]]]:
        """Name -> answers to test rows (second) by what is known of training rows (first): what a model must beat."""
