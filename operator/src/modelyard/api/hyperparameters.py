"""Method and hyper-parameters: as they are asked for, and as a recipe completed them."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from modelyard.api.common import ApiModel, StatusModel, cel

Precision = Literal["auto", "bf16", "fp32"]
Schedule = Literal["linear", "cosine", "constant"]
Targets = Literal["all-linear", "attention"]
BY_RECIPE = "left out, the recipe of the task and method fills it (docs/defaults.md)"


class Method(ApiModel):
    """How weights are adapted."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.type == 'lora' || !(has(self.rank) || has(self.alpha) || has(self.dropout) || has(self.targets))",
                "method: rank, alpha, dropout and targets need type lora",
            )
        )
    )
    type: Literal["full", "lora"] = Field(
        default="lora", description="full: all weights; lora: low-rank adapters beside frozen weights."
    )
    rank: int | None = Field(default=None, ge=1, le=512, description=f"Rank of LoRA; {BY_RECIPE}.")
    alpha: float | None = Field(default=None, gt=0, le=4096, description=f"Scale of LoRA; {BY_RECIPE}.")
    dropout: float | None = Field(default=None, ge=0, lt=1, description=f"Dropout inside LoRA; {BY_RECIPE}.")
    targets: Targets | None = Field(default=None, description=f"Layers that LoRA adapts; {BY_RECIPE}.")


class EarlyStopping(ApiModel):
    """When training ends before its last epoch."""

    patience: int = Field(
        ge=1, le=100, description="Epochs in a row without a better result on the validation rows that end training."
    )


class Train(ApiModel):
    """Hyper-parameters; what is left out is filled by the recipe, and status.run.pinned says with what."""

    epochs: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Passes over the training rows; left out, as many as give enough optimizer steps, within the "
        "limits of the TrainingProfile.",
    )
    learning_rate: float | None = Field(default=None, gt=0, le=1, description=f"Peak rate; {BY_RECIPE}.")
    schedule: Schedule | None = Field(
        default=None, description=f"How the rate goes on after warm-up: to zero, or not at all; {BY_RECIPE}."
    )
    warmup: float | None = Field(
        default=None, ge=0, lt=1, description=f"Share of the steps that warm up linearly; {BY_RECIPE}."
    )
    weight_decay: float | None = Field(
        default=None, ge=0, le=1, description=f"Decoupled weight decay of AdamW; {BY_RECIPE}."
    )
    linear_probe: bool | None = Field(
        default=None,
        description="Start a new classifier as a logistic regression on the base's features, in place of random "
        f"weights; {BY_RECIPE}.",
    )
    batch_size: int | None = Field(default=None, ge=1, le=4096, description=f"Rows per batch; {BY_RECIPE}.")
    gradient_accumulation: int = Field(default=1, ge=1, le=1024, description="Batches per optimizer step.")
    max_length: int | None = Field(
        default=None,
        ge=8,
        le=8192,
        description="Tokens per row; longer rows are cut. Left out, the recipe's number as far as the base takes it.",
    )
    precision: Precision = Field(
        default="auto", description="auto: bf16 where the CPU or GPU has it in hardware, else fp32."
    )
    seed: int = Field(default=7, ge=0, le=2147483647, description="Seed of initialisation, order and dropout.")
    early_stopping: EarlyStopping | None = Field(
        default=None,
        description="End training once it brings nothing better. Whether set or not, the version gets the weights of "
        "the epoch with the best primary metric (docs/tasks.md) on the validation rows.",
    )


class ResolvedMethod(StatusModel):
    """The method with everything that its kind takes."""

    type: Literal["full", "lora"] = Field(description="How weights are adapted.")
    rank: int | None = Field(default=None, description="Rank of LoRA.")
    alpha: float | None = Field(default=None, description="Scale of LoRA.")
    dropout: float | None = Field(default=None, description="Dropout inside LoRA.")
    targets: Targets | None = Field(default=None, description="Layers that LoRA adapts.")


class Hyperparameters(StatusModel):
    """All hyper-parameters of a run: nothing is left to the trainer."""

    epochs: int = Field(description="Passes over the training rows.")
    learning_rate: float = Field(description="Peak rate.")
    schedule: Schedule = Field(description="How the rate goes on after warm-up.")
    warmup: float = Field(description="Share of the steps that warm up linearly.")
    weight_decay: float = Field(description="Decoupled weight decay of AdamW.")
    linear_probe: bool = Field(description="Whether a new classifier starts as a logistic regression.")
    batch_size: int = Field(description="Rows per batch.")
    gradient_accumulation: int = Field(description="Batches per optimizer step.")
    max_length: int = Field(description="Tokens per row; by recipe, at most what the base takes.")
    precision: Precision = Field(description="auto, bf16 or fp32.")
    seed: int = Field(description="Seed of initialisation, order and dropout.")
    early_stopping: EarlyStopping | None = None
    by_recipe: tuple[str, ...] = Field(default=(), description="Fields that the recipe filled.")
