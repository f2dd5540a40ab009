"""What all kinds share: the base model, references, resources, conditions and the marks that become CRD schema."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from modelyard.api.tasks import FORMATS, TASKS


class ApiModel(BaseModel):
    """camelCase outside, snake_case inside; unknown fields are refused; instances are values."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_enum_values=True
    )

    def dump(self) -> dict[str, Any]:
        """JSON-ready dictionary with API names, without unset (None) values."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusModel(ApiModel):
    """What another release may have written, as a status, a manifest or a version: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class Rule(NamedTuple):
    """A CEL rule, and the message that names field and what is allowed."""

    rule: str
    message: str


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """`json_schema_extra` for a model: its CEL rules."""
    return {"x-kubernetes-validations": [{"rule": r, "message": m} for r, m in rules]}


def chosen(union: BaseModel) -> str:
    """API name of the one field of a union that is set; ValueError unless it is exactly one."""
    found = [name for name in type(union).model_fields if getattr(union, name) is not None]
    if len(found) != 1:
        raise ValueError(f"exactly one of {', '.join(_api_names(type(union)))} must be set")
    return type(union).model_fields[found[0]].alias or found[0]


def _api_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _exactly_one(schema: dict[str, Any], model: type[OneOf]) -> None:
    """The rule follows from the fields: a member that is added later needs no other."""
    members = _api_names(model)
    counted = ", ".join(f"has(self.{member})" for member in members)
    message = f"{model.where}: give exactly one of {', '.join(members)}"
    schema.update(cel((f"[{counted}].filter(x, x).size() == 1", message)))


class OneOf(ApiModel):
    """A union by key: exactly one of the fields is set, and says by its name what is meant."""

    model_config = ConfigDict(json_schema_extra=_exactly_one)
    where: ClassVar[str]
    """The field of the spec that holds the union, for the message."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        chosen(self)
        return self

    @property
    def kind(self) -> str:
        """Name of the member that is set."""
        return chosen(self)


def words(*known: str) -> Any:
    """Mark of a text that is one of these words; another release may know more, so reading takes any."""
    return Field(json_schema_extra={"enum": list(known)})


def only(known: Container[str]) -> AfterValidator:
    """Mark of a text that is refused unless it is one of these words."""

    def check(word: str) -> str:
        if word not in known:
            raise ValueError("is not known here")
        return word

    return AfterValidator(check)


Task = Annotated[str, only(TASKS), words(*TASKS)]
Format = Annotated[str, only(FORMATS), words(*FORMATS)]
DnsLabel = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
_PART = r"([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+)"
"""One folder or file name of a key: never empty, '.' or '..', which some stores and every disk would resolve."""
_S3_FOLDER = rf"^s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/{_PART})*"
S3Uri = Annotated[str, Field(max_length=1024, pattern=rf"{_S3_FOLDER}/?$")]
S3Folder = Annotated[str, Field(max_length=1024, pattern=rf"{_S3_FOLDER}/$")]
Duration = Annotated[str, Field(max_length=16, pattern=r"^[1-9][0-9]*(s|m|h)$")]
Memory = Annotated[str, Field(max_length=16, pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)$")]


NAME = r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"
Word = Annotated[str, Field(min_length=1, max_length=64, pattern=NAME)]
"""A name that another release or a foreign trainer may choose: of a metric, a set, a format."""


class Resources(ApiModel):
    """What a pod may use; CPU and memory are both request and limit."""

    cpu: float = Field(default=2, gt=0, le=1024, description="CPU cores, 0.5 for half of one.")
    memory: Memory = Field(default="4Gi", description="Memory, for example 4Gi.")
    gpu: int = Field(default=0, ge=0, le=64, description="GPUs, of the kind that the TrainingProfile names.")


class Condition(StatusModel):
    """metav1.Condition."""

    type: str = Field(max_length=316, description="Ready, Reconciling, Stalled, or a word of this kind.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(max_length=1024, description="Stable word for programs.")
    message: str = Field(default="", max_length=32768, description="Details for people: cause, field, remedy.")
    last_transition_time: str = Field(
        description="When status last changed.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int | None = Field(default=None, description="Generation of the spec it is about.")


class CommonStatus(StatusModel):
    """Status fields that every kind has."""

    observed_generation: int = Field(default=-1, description="The generation of the spec this status is about.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready is always present; Reconciling and Stalled only while True.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    phase: str | None = Field(default=None, description="One word for people, derived from the conditions.")


class Failure(StatusModel):
    """Why something ended for good."""

    reason: str = Field(max_length=1024, description="Stable word.")
    message: str = Field(max_length=32768, description="Cause, field and what to try.")


def seconds(duration: str) -> int:
    """Seconds of a Duration such as 90s, 10m or 2h."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]
