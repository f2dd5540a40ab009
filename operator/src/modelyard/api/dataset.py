"""Dataset: what to learn from. Prepared once per spec by a Job of its own; its digest is of content only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from modelyard.api.admission import dataset_rules
from modelyard.api.common import (
    ApiModel,
    CommonStatus,
    Failure,
    Memory,
    ObjectName,
    Resources,
    S3Uri,
    StatusModel,
    Task,
    cel,
)
from modelyard.api.store import Addressing, CaBundle, ProxyUrl
from modelyard.api.tasks import TASKS
from modelyard.names import DEFAULT_PROFILE

ColumnName = Annotated[str, Field(min_length=1, max_length=253)]
InlineWords = Annotated[list[Annotated[str, Field(max_length=256)]], Field(min_length=1, max_length=512)]


class Columns(ApiModel):
    """Which columns of the source hold what the task needs; one that is left out has the name that it has here."""

    text: ColumnName | None = Field(default=None, description="Column with the text.")
    label: ColumnName | None = Field(default=None, description="Column with the class.")
    tokens: ColumnName | None = Field(
        default=None,
        description="Column with the words: a list, JSON of a list, or a text with spaces between the words.",
    )
    tags: ColumnName | None = Field(
        default=None, description="Column with the words' tags (IOB2), in the same form as the words."
    )
    labels: ColumnName | None = Field(
        default=None,
        description="Column with the classes: a list, JSON of a list, or a text with commas, semicolons or bars "
        "between them; a row with nothing there has none.",
    )
    summary: ColumnName | None = Field(default=None, description="Column with the text's summary.")
    image: ColumnName | None = Field(default=None, description="Column with the picture's file.")
    objects: ColumnName | None = Field(default=None, description="Column with boxes and their classes.")
    source: ColumnName | None = Field(default=None, description="Column with the text that is translated.")
    target: ColumnName | None = Field(default=None, description="Column with the same text in the other language.")
    messages: ColumnName | None = Field(
        default=None,
        description="Column with the conversation: a list of {role, content} or {from, value}, or JSON of it. Left "
        "out, the columns of the source tell its form (docs/tasks.md).",
    )
    question: ColumnName | None = Field(default=None, description="Column with the question.")
    context: ColumnName | None = Field(default=None, description="Column with the text that may hold its answer.")
    answers: ColumnName | None = Field(
        default=None,
        description="Column with the right answers: {text: [...], answer_start: [...]}, a list of {text, start}, a "
        "list of texts, JSON of one of these, or one text; nothing where the context has no answer.",
    )

    def of(self, task: str) -> dict[str, str]:
        """Column of the source per column of the task; none where each row tells its form by the columns it has."""
        if TASKS[task].forms and not any(getattr(self, kind.name) for kind in TASKS[task].columns):
            return {}
        return {kind.name: getattr(self, kind.name) or kind.name for kind in TASKS[task].columns}


class S3Source(ApiModel):
    """Rows in an object store: one object, or all objects below a prefix that ends in '/'."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.endpoint) || !(has(self.region) || has(self.addressing) || has(self.caBundle) || "
                "has(self.proxy))",
                "s3: region, addressing, caBundle and proxy are of an endpoint of the source's own: set endpoint, or "
                "leave them out, for the installation's store has its own",
            ),
            (
                "!has(self.caBundle) || !self.caBundle.contains('PRIVATE KEY')",
                "s3: caBundle must hold certificates only, for everybody who sees the Dataset can read it",
            ),
        )
    )
    uri: S3Uri = Field(description="s3://bucket/key or s3://bucket/prefix/.")
    endpoint: str | None = Field(
        default=None,
        max_length=512,
        pattern=r"^https?://[^\s/]+$",
        description="Endpoint of another store than the installation's, for example https://s3.example.com.",
    )
    region: str | None = Field(
        default=None, min_length=1, max_length=64, description="Region of endpoint; default: the installation's."
    )
    addressing: Addressing | None = Field(
        default=None,
        description="Where endpoint expects the bucket's name: path (https://host/bucket), virtualHost "
        "(https://bucket.host) or auto, which is virtualHost for AWS and Alibaba Cloud and path elsewhere. "
        "Default: auto.",
    )
    ca_bundle: CaBundle | None = Field(
        default=None,
        description="Certificates (PEM) of the authorities that sign endpoint's certificate, trusted beside the "
        "public ones.",
    )
    proxy: ProxyUrl | None = Field(
        default=None,
        description="Proxy through which endpoint is reached, for example http://proxy.example.com:3128, without a "
        "password.",
    )
    secret: ObjectName | None = Field(
        default=None,
        description="Secret in this namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the source; "
        "default: the run's own access to the installation's store, no key for another endpoint. Read only by the pod.",
    )


class InlineAnswer(ApiModel):
    """A right answer: a part of the row's context."""

    text: str = Field(min_length=1, max_length=4096, description="The answer, as the context has it.")
    start: int | None = Field(
        default=None, ge=0, le=4095, description="Character of the context that it begins at; default: the first such."
    )


class InlineRow(ApiModel):
    """One row written in the object itself: it has the columns of the task."""

    text: str | None = Field(default=None, min_length=1, max_length=4096, description="The text.")
    label: str | None = Field(default=None, min_length=1, max_length=256, description="Its class.")
    tokens: InlineWords | None = Field(default=None, description="The words.")
    tags: InlineWords | None = Field(default=None, description="A tag for each word (IOB2).")
    labels: list[Annotated[str, Field(min_length=1, max_length=256)]] | None = Field(
        default=None, max_length=64, description="Its classes; none of them if it is empty or left out."
    )
    source: str | None = Field(default=None, min_length=1, max_length=4096, description="The text that is translated.")
    target: str | None = Field(
        default=None, min_length=1, max_length=4096, description="The same text in the other language."
    )
    summary: str | None = Field(default=None, min_length=1, max_length=4096, description="The text's summary.")
    question: str | None = Field(default=None, min_length=1, max_length=4096, description="The question.")
    context: str | None = Field(
        default=None, min_length=1, max_length=4096, description="The text that may hold its answer."
    )
    answers: list[InlineAnswer] | None = Field(
        default=None, max_length=16, description="The right answers; an empty list where the context has none."
    )


class Source(ApiModel):
    """Where the rows come from: exactly one of s3 and inline."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.s3) != has(self.inline)", "source: give exactly one of s3 and inline"),
        )
    )
    s3: S3Source | None = None
    inline: list[InlineRow] | None = Field(
        default=None, min_length=1, max_length=200, description="Rows written in the object itself."
    )
    format: Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "imagefolder"] = Field(
        default="auto",
        description="Format of s3 objects, UTF-8, .gz allowed: JSON lines, a JSON list of objects, CSV or TSV with a "
        "header line (commas, semicolons, tabs or bars), Parquet, or pictures as files: a folder per class, or "
        "metadata.csv or metadata.jsonl beside them with a column file_name. auto: pictures where the task's rows hold "
        "some and the source has such files; else by each file's name, else by its first character.",
    )
    columns: Columns = Field(default_factory=Columns)


class Clean(ApiModel):
    """Normalise text and drop rows that are too short or have no class."""

    min_chars: int = Field(default=1, ge=1, le=10000, description="Drop rows with fewer characters.")
    normalize: Literal["nfc", "nfkc", "none"] = Field(default="nfkc", description="Unicode normalisation form.")


class Dedupe(ApiModel):
    """Keep one of equal texts; texts that appear with different classes are dropped altogether."""

    method: Literal["exact", "near"] = Field(
        default="exact",
        description="exact: equal after cleaning, case ignored. near: of texts that are nearly equal and have the same "
        "class, too, the first is kept, so that no split holds what another was trained on but for a word.",
    )
    threshold: float | None = Field(
        default=None,
        ge=0.5,
        le=1,
        description="Of near: share of their groups of five letters that two texts have in common at least (Jaccard). "
        "Left out: 0.8.",
    )


class Split(ApiModel):
    """By class, from a hash of text (or group) and seed: a row stays in its split whatever other rows come or go."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "(has(self.test) ? self.test : 0.1) + (has(self.validation) ? self.validation : 0.1) < 0.9",
                "split: test + validation must be below 0.9",
            ),
            (
                "!has(self.column) || !has(self.groupBy) && !has(self.time)",
                "split: give one of groupBy, column and time at most",
            ),
            ("!has(self.time) || !has(self.groupBy)", "split: give one of groupBy, column and time at most"),
        )
    )
    test: float = Field(default=0.1, gt=0, lt=0.9, description="Share of the test rows, of each class.")
    validation: float = Field(default=0.1, gt=0, lt=0.9, description="Share of the validation rows, of each class.")
    seed: int = Field(default=7, ge=0, le=2147483647, description="Another seed gives another split.")
    group_by: str | None = Field(
        default=None,
        max_length=253,
        description="Column whose equal values stay together in one split (s3 sources).",
    )
    column: ColumnName | None = Field(
        default=None,
        description="Column that says each row's split: train, validation (valid, val, dev) or test (s3 sources). Left "
        "out: a hash decides.",
    )
    time: ColumnName | None = Field(
        default=None,
        description="Column with each row's time, an ISO date or a number (s3 sources): the newest rows test, those "
        "before them validate, so that a model is judged by what came after what it learned from.",
    )

    @property
    def asked(self) -> tuple[str, str] | None:
        """Field that names a column of the source beside the task's, and the column; None if there is none."""
        named = {"groupBy": self.group_by, "column": self.column, "time": self.time}
        return next(((field, column) for field, column in named.items() if column), None)


class Step(ApiModel):
    """One preparation step: exactly one of clean, dedupe, split."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[has(self.clean), has(self.dedupe), has(self.split)].filter(x, x).size() == 1",
                "prepare: each step is exactly one of clean, dedupe, split",
            )
        )
    )
    clean: Clean | None = None
    dedupe: Dedupe | None = None
    split: Split | None = None


DEFAULT_STEPS = [Step(clean=Clean()), Step(dedupe=Dedupe()), Step(split=Split())]


class PrepareResources(Resources):
    """What the preparation pod may use; CPU and memory are both request and limit."""

    cpu: float = Field(default=1, gt=0, le=1024, description="CPU cores, 0.5 for half of one.")
    memory: Memory = Field(default="1Gi", description="Memory, for example 1Gi.")


class DatasetSpec(ApiModel):
    """What to learn from and how it is prepared."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.prepare.filter(s, has(s.split)).size() == 1 && has(self.prepare[self.prepare.size() - 1].split)",
                "prepare: needs exactly one split step, as the last one",
            ),
            (
                "!has(self.source.inline) || !self.prepare.exists(s, has(s.split) && has(s.split.groupBy))",
                "prepare: split.groupBy needs an s3 source",
            ),
            *dataset_rules(TASKS),
        )
    )
    task: Task = Field(description="What the rows are for.")
    source: Source
    prepare: list[Step] = Field(
        default_factory=lambda: list(DEFAULT_STEPS),
        min_length=1,
        max_length=16,
        description="Preparation steps in their order; the last one is the only split.",
    )
    revision: int = Field(default=1, ge=1, description="Raise it to prepare again from a changed source.")
    profile: ObjectName = Field(default=DEFAULT_PROFILE, description="TrainingProfile of the preparation pod.")
    resources: PrepareResources = Field(default_factory=PrepareResources)


class Rows(StatusModel):
    """Number of rows per split."""

    train: int = Field(default=0, description="Rows to learn from.")
    validation: int = Field(default=0, description="Validation rows: they choose the best epoch.")
    test: int = Field(default=0, description="Test rows: they judge the result.")


class DatasetStatus(CommonStatus):
    """What preparation gave."""

    prepare_id: str | None = Field(default=None, description="Hash of the spec fields that decide the content.")
    hash_version: int = Field(default=1, description="Number of the rule that made prepareId.")
    prefix: str | None = Field(default=None, description="Where the prepared rows lie in the artifact store.")
    epoch: str = Field(default="", description="Of this start of the preparation: in the keys of what its pods write.")
    digest: str | None = Field(default=None, description="sha256 of the prepared rows, of content only.")
    rows: Rows | None = None
    classes: dict[str, Rows] | None = Field(default=None, description="Rows of each class in each split.")
    removed: dict[str, int] | None = Field(default=None, description="Rows removed, by reason.")
    notes: list[str] | None = Field(
        default=None, description="What preparation noticed, for example classes with too few rows to be judged."
    )
    failure: Failure | None = Field(
        default=None, description="Why this preparation failed; final until the spec changes (raise revision)."
    )
    suspect_since: str | None = Field(
        default=None, description="Since when the store says that the rows are missing or broken."
    )
    disruptions: int = Field(default=0, description="Evictions and pre-emptions of this preparation so far.")
    last_disruption: str | None = Field(default=None, description="Creation time of the newest pod taken away.")
    cleaned_up: bool = Field(default=False, description="What killed pods left was removed from the store.")
