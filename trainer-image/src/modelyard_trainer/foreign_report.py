"""What a foreign trainer says of a model that only it knows: report.json beside its files (docs/foreign-trainer.md)."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from modelyard.api import layout
from modelyard.api.common import ApiModel, Word
from modelyard.api.modelversion import TEST, Metrics
from modelyard_trainer.errors import bad_output

MOST_METRICS, MOST_FORMATS, MOST_FILES = 64, 16, 1000
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Values = Annotated[dict[Word, Number], Field(max_length=MOST_METRICS)]
_PART = r"[A-Za-z0-9_+=@-][A-Za-z0-9 ._+=@-]{0,127}"
FilePath = Annotated[str, Field(max_length=512, pattern=rf"^{_PART}(/{_PART}){{0,7}}$")]
OURS = (layout.REPORT, layout.MANIFEST)
"""Names at the top that stand for what we write ourselves."""


class ForeignArtifact(ApiModel):
    """One format of the model and the files of it."""

    format_: Word = Field(alias="format")
    precision: Word = "unknown"
    files: list[FilePath] = Field(min_length=1, max_length=MOST_FILES)


class ForeignReport(ApiModel):
    """Metrics on the test rows, and the files to publish."""

    primary: Word | None = None
    metrics: Values = Field(min_length=1)
    per_class: dict[Annotated[str, Field(min_length=1, max_length=256)], Values] = Field(
        default_factory=dict, max_length=1000
    )
    artifacts: list[ForeignArtifact] = Field(min_length=1, max_length=MOST_FORMATS)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.primary is not None and self.primary not in self.metrics:
            raise ValueError(f"primary is {self.primary}, metrics has {', '.join(self.metrics)}")
        named = Counter((artifact.format_, artifact.precision) for artifact in self.artifacts)
        if twice := [f"{name} in {precision}" for (name, precision), count in named.items() if count > 1]:
            raise ValueError(f"artifacts has {', '.join(twice)} more than once")
        if ours := [name for name in OURS if any(name in artifact.files for artifact in self.artifacts)]:
            raise ValueError(f"artifacts names the file {', '.join(ours)}, whose name is taken: choose another")
        return self

    @property
    def measured(self) -> Metrics:
        """The metrics as a version has them; the first one stands for the whole where none is called primary."""
        primary = self.primary or next(iter(self.metrics))
        return Metrics(set_=TEST, primary=primary, values=self.metrics, per_class=self.per_class)

    @property
    def files(self) -> list[str]:
        """All files, each once."""
        return list(dict.fromkeys(path for artifact in self.artifacts for path in artifact.files))


def parsed(data: bytes) -> ForeignReport:
    """The report; BAD_OUTPUT names the first field that is wrong."""
    try:
        return ForeignReport.model_validate_json(data)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise bad_output(f"{layout.REPORT}: {where + ': ' if where else ''}{first['msg']}") from fault
