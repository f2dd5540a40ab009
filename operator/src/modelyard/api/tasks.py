"""The tasks: columns, metrics, methods and formats of each. Nothing else of the operator knows a task by name.

From this table follow the words that `task` and `export` allow, the gate's rules, the figures of a version and
docs/tasks.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricKind:
    """One metric of a task; `least` and `most` bound it, None where there is no bound."""

    name: str
    meaning: str
    per_class: bool = False
    higher_is_better: bool = True
    least: float | None = 0.0
    most: float | None = 1.0

    def score(self, value: float) -> float:
        """The value with a sign: of two scores the greater is the better."""
        return value if self.higher_is_better else -value


@dataclass(frozen=True)
class ColumnKind:
    """One column of a task's rows; a source may call it otherwise (spec.source.columns)."""

    name: str
    meaning: str
    inline: bool = True
    """Whether its values may be written in the object itself."""
    needed: bool = True
    """Whether a row with nothing in it is left out."""


@dataclass(frozen=True)
class Support:
    """What goes with one start of a task: a base, a version, or an architecture that begins with random weights."""

    start: str
    """BASE, VERSION, or the name of the architecture."""
    methods: tuple[str, ...]
    """The first one is taken where a job names none: it enters the hash of such jobs, so it stays the first."""
    formats: tuple[str, ...]


BASE, VERSION = "base", "version"
OWN = "own"
"""Random weights of an architecture that somebody else's program knows."""


@dataclass(frozen=True)
class TaskKind:
    """What a model is for, and how it is made, measured and handed out."""

    name: str
    meaning: str
    reads: str
    """What the rows hold: text or image; the block of spec.input that belongs to it. Empty: no block does."""
    columns: tuple[ColumnKind, ...]
    metrics: tuple[MetricKind, ...]
    primary: str
    """Metric that stands in columns, chooses the best epoch and is held against the baselines."""
    support: tuple[Support, ...]
    foreign: bool = False
    """Whether only somebody else's program trains it: columns, metrics and formats are what that program says."""
    forms: tuple[tuple[str, ...], ...] = ()
    """Columns of the source that may stand in place of `columns` where a Dataset names none: the first form whose
    columns a row has is taken."""
    answers_untrained: bool = False
    """Whether a base answers before it is trained: then it is a baseline."""
    kin: tuple[str, ...] = ()
    """Other tasks whose versions it can go on from: of the network it takes all but the last layer."""

    def starting(self, start: str) -> Support:
        """What goes with a start; KeyError if the task has no such start."""
        return {known.start: known for known in self.support}[start]

    def metric(self, name: str) -> MetricKind:
        """The metric of that name; KeyError if the task has none."""
        return {metric.name: metric for metric in self.metrics}[name]

    def named(self, per_class: bool) -> list[str]:
        """Names of the metrics that judge one class, or of those that judge all rows."""
        return [metric.name for metric in self.metrics if metric.per_class is per_class]


@dataclass(frozen=True)
class FormatKind:
    """One format of a version's files."""

    name: str
    title: str
    meaning: str
    suffixes: tuple[str, ...]
    compared: bool
    """Whether its answers are held against those of the trained model."""


TEXT_METHODS = ("lora", "full", "head", "layerNorm", "ia3", "adaLora")
"""Methods of tasks that put a last layer on a text model."""
OF_CLASSES = (
    MetricKind("macro_f1", "mean of f1 over the classes"),
    MetricKind("accuracy", "share of the rows that are right"),
    MetricKind("precision", "share of the rows given this class that have it", per_class=True),
    MetricKind("recall", "share of the rows of this class that were found", per_class=True),
    MetricKind("f1", "harmonic mean of precision and recall", per_class=True),
)
"""Metrics of tasks that give each row one class."""
IMAGE = ColumnKind("image", "the picture's file: PNG, JPEG, WEBP, GIF or BMP", inline=False)
WRITERS = (
    Support(BASE, ("full", "lora"), ("safetensors", "onnx")),
    Support("transformer", ("full",), ("safetensors", "onnx")),
    Support(VERSION, ("full", "lora"), ("safetensors", "onnx")),
)
"""Starts of tasks whose models have an encoder and a decoder."""
TASKS: dict[str, TaskKind] = {
    task.name: task
    for task in (
        TaskKind(
            name="text-classification",
            meaning="One class for a text.",
            reads="text",
            columns=(ColumnKind("text", "the text"), ColumnKind("label", "its class")),
            metrics=OF_CLASSES,
            primary="macro_f1",
            support=tuple(Support(start, TEXT_METHODS, ("safetensors", "onnx")) for start in (BASE, VERSION)),
            kin=("token-classification", "question-answering"),
        ),
        TaskKind(
            name="multi-label-classification",
            meaning="Any number of classes for a text, none of them included.",
            reads="text",
            columns=(
                ColumnKind("text", "the text"),
                ColumnKind("labels", "its classes in a list, or with commas, semicolons or bars between", needed=False),
            ),
            metrics=(
                MetricKind("micro_f1", "f1 of all classes of all rows together"),
                MetricKind("macro_f1", "mean of f1 over the classes"),
                MetricKind("subset_accuracy", "share of the rows with exactly their classes"),
                *(one for one in OF_CLASSES if one.per_class),
            ),
            # Not the mean over the classes: of a rare one a few rows decide, and they would choose the epoch.
            primary="micro_f1",
            support=tuple(Support(start, TEXT_METHODS, ("safetensors", "onnx")) for start in (BASE, VERSION)),
            kin=("text-classification", "token-classification"),
        ),
        TaskKind(
            name="token-classification",
            meaning="The entities of a text: a tag for each of its words.",
            reads="text",
            columns=(
                ColumnKind("tokens", "the words, in a list"),
                ColumnKind("tags", "a tag for each word (IOB2): O, B-<type> where an entity begins, I-<type> in it"),
            ),
            metrics=(
                MetricKind("micro_f1", "f1 of all entities together, whatever their type"),
                MetricKind("macro_f1", "mean of f1 over the types of entities"),
                MetricKind("accuracy", "share of the words with the right tag"),
                MetricKind("precision", "share of the entities found of this type that are right", per_class=True),
                MetricKind("recall", "share of the entities of this type that were found", per_class=True),
                MetricKind("f1", "harmonic mean of precision and recall", per_class=True),
            ),
            primary="micro_f1",
            support=tuple(Support(start, TEXT_METHODS, ("safetensors", "onnx")) for start in (BASE, VERSION)),
            kin=("text-classification", "question-answering"),
        ),
        TaskKind(
            name="image-classification",
            meaning="One class for a picture.",
            reads="image",
            columns=(IMAGE, ColumnKind("label", "its class")),
            metrics=OF_CLASSES,
            primary="macro_f1",
            support=tuple(
                Support(start, ("full",), ("safetensors", "onnx")) for start in ("cnn", "resnet", "vit", VERSION)
            ),
        ),
        TaskKind(
            name="object-detection",
            meaning="Boxes with classes for a picture.",
            reads="image",
            columns=(
                IMAGE,
                ColumnKind("objects", "a list of {box: [x, y, width, height] in pixels, label}", inline=False),
            ),
            metrics=(
                MetricKind("map_50_95", "mean of ap_50_95 over the classes"),
                MetricKind("map_50", "mean of ap_50 over the classes"),
                MetricKind("ap_50_95", "mean of average precision at overlaps of 0.5 to 0.95", per_class=True),
                MetricKind("ap_50", "average precision, boxes that overlap by half are the same", per_class=True),
            ),
            primary="map_50_95",
            support=tuple(Support(start, ("full",), ("safetensors", "onnx")) for start in ("dense", VERSION)),
        ),
        TaskKind(
            name="translation",
            meaning="A text for a text, generated token by token.",
            reads="text",
            columns=(ColumnKind("source", "the text"), ColumnKind("target", "its translation")),
            metrics=(
                MetricKind("chrf", "chrF of sacrebleu: groups of letters that are the same", most=100.0),
                MetricKind("bleu", "BLEU of sacrebleu (13a): groups of words that are the same", most=100.0),
            ),
            primary="chrf",
            support=WRITERS,
        ),
        TaskKind(
            name="summarization",
            meaning="A short text for a long one, generated token by token.",
            reads="text",
            columns=(ColumnKind("text", "the text"), ColumnKind("summary", "its summary")),
            metrics=(
                MetricKind("rouge1", "mean f1 of the words that are the same"),
                MetricKind("rouge2", "mean f1 of the pairs of words that are the same"),
                MetricKind("rougeL", "mean f1 of the longest sequence of words that both have in this order"),
            ),
            primary="rougeL",
            support=WRITERS,
        ),
        TaskKind(
            name="text-generation",
            meaning="The answer to a conversation, or how a text goes on, generated token by token.",
            reads="text",
            columns=(
                ColumnKind(
                    "messages", "a conversation: a list of {role, content}; its answers are learned", inline=False
                ),
            ),
            metrics=(
                MetricKind(
                    "perplexity",
                    "how many tokens are as likely as the right one: e to the mean loss of the answers' tokens",
                    higher_is_better=False,
                    least=1.0,
                    most=None,
                ),
                MetricKind(
                    "token_accuracy", "share of the answers' tokens that are the likeliest after the right ones"
                ),
            ),
            primary="perplexity",
            support=tuple(Support(start, ("lora", "full"), ("safetensors", "onnx")) for start in (BASE, VERSION)),
            forms=(
                ("messages",),
                ("conversations",),
                ("prompt", "completion"),
                ("instruction", "output"),
                ("text",),
            ),
            answers_untrained=True,
        ),
        TaskKind(
            name="question-answering",
            meaning="The part of a text that answers a question, or that none does.",
            reads="text",
            columns=(
                ColumnKind("question", "the question"),
                ColumnKind("context", "the text that may hold its answer"),
                ColumnKind(
                    "answers",
                    "right answers, each a part of the context: {text: [...], answer_start: [...]} as in SQuAD, a list "
                    "of {text, start}, a list of texts, or one text; nothing where the context has no answer",
                    needed=False,
                ),
            ),
            metrics=(
                MetricKind("f1", "mean overlap of words with the nearest right answer, as SQuAD's script counts it"),
                MetricKind("exact_match", "share of the rows with a right answer, as SQuAD's script compares them"),
                MetricKind("answerable_f1", "f1 of the rows that have an answer"),
                MetricKind("answerable_exact_match", "exact_match of the rows that have an answer"),
                MetricKind("unanswerable_accuracy", "share of the rows without an answer to which none was given"),
            ),
            primary="f1",
            support=tuple(Support(start, ("full", "lora"), ("safetensors", "onnx")) for start in (BASE, VERSION)),
            kin=("text-classification", "token-classification"),
        ),
        TaskKind(
            name="custom",
            meaning="Whatever a trainer of your own makes.",
            reads="",
            columns=(),
            metrics=(),
            primary="",
            support=tuple(Support(start, ("full",), ("safetensors", "onnx")) for start in (BASE, OWN)),
            foreign=True,
        ),
    )
}
FORMATS: dict[str, FormatKind] = {
    format_.name: format_
    for format_ in (
        FormatKind(
            name="safetensors",
            title="safetensors",
            meaning="weights of the merged model for torch",
            suffixes=(".safetensors",),
            compared=False,
        ),
        FormatKind(
            name="onnx",
            title="ONNX",
            meaning="graph and weights that the server of this project runs",
            suffixes=(".onnx", ".onnx.data"),
            compared=True,
        ),
    )
}
ARCHITECTURES = tuple(
    dict.fromkeys(one.start for task in TASKS.values() for one in task.support if one.start not in (BASE, VERSION))
)
"""Architectures of all tasks that may begin with random weights."""
METHODS = tuple(dict.fromkeys(name for task in TASKS.values() for one in task.support for name in one.methods))
"""Methods of all tasks."""
COLUMNS = tuple(dict.fromkeys(column.name for task in TASKS.values() for column in task.columns))
"""Columns of all tasks."""
INLINE_COLUMNS = tuple(dict.fromkeys(one.name for task in TASKS.values() for one in task.columns if one.inline))
"""Those whose values may be written in the object itself."""
