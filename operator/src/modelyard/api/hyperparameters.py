"""Method and hyper-parameters: as they are asked for, and as a recipe completed them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from modelyard.api.common import ApiModel, OneOf, StatusModel, chosen

Precision = Literal["auto", "bf16", "fp32"]
Schedule = Literal["linear", "cosine", "constant"]
Targets = Literal["all-linear", "attention"]
Augment = Literal["none", "move"]
BY_RECIPE = "left out, the recipe of the task and method fills it (docs/defaults.md)"


class Full(ApiModel):
    """All weights are trained, but for those of layers that are frozen."""

    frozen_layers: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="So many of the lowest layers keep the base's weights, as do the embeddings. Left out: none.",
    )
    layer_decay: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Factor from each layer's rate to that of the layer below it: 0.9 changes low layers little. "
        "Left out: one rate for all.",
    )


class Head(ApiModel):
    """The last layer, which the base does not bring, is trained alone."""


class LayerNorm(ApiModel):
    """The layers' norms are trained (scale and shift of each), and the last layer."""


class Ia3(ApiModel):
    """A factor for each output of attention and of the layers after it is trained beside frozen weights."""


class Lora(ApiModel):
    """Low-rank adapters are trained beside frozen weights, and merged into them at the end."""

    rank: int | None = Field(default=None, ge=1, le=512, description=f"Rank; {BY_RECIPE}.")
    alpha: float | None = Field(default=None, gt=0, le=4096, description=f"Scale; {BY_RECIPE}.")
    dropout: float | None = Field(default=None, ge=0, lt=1, description=f"Dropout inside the adapters; {BY_RECIPE}.")
    targets: Targets | None = Field(default=None, description=f"Layers that are adapted; {BY_RECIPE}.")
    dora: bool | None = Field(
        default=None,
        description="Each weight's length is trained apart from its direction (DoRA). Left out: no.",
    )
    rs_lora: bool | None = Field(
        default=None,
        description="The adapters are scaled by alpha / sqrt(rank) in place of alpha / rank: for high ranks. "
        "Left out: no.",
    )


class AdaLora(ApiModel):
    """Low-rank adapters whose ranks move in training to the layers where they bring most."""

    rank: int | None = Field(default=None, ge=1, le=512, description=f"Rank that is left on average; {BY_RECIPE}.")
    alpha: float | None = Field(default=None, gt=0, le=4096, description=f"Scale; {BY_RECIPE}.")
    dropout: float | None = Field(default=None, ge=0, lt=1, description=f"Dropout inside the adapters; {BY_RECIPE}.")
    targets: Targets | None = Field(default=None, description=f"Layers that are adapted; {BY_RECIPE}.")


class Method(OneOf):
    """How weights are adapted: exactly one member."""

    where = "method"
    full: Full | None = None
    lora: Lora | None = None
    head: Head | None = None
    layer_norm: LayerNorm | None = None
    ia3: Ia3 | None = None
    ada_lora: AdaLora | None = None


class FineTune(ApiModel):
    """A pre-trained model is trained further on labelled rows."""


class Objective(OneOf):
    """What training is after: exactly one member, today only fineTune."""

    where = "objective"
    fine_tune: FineTune | None = None


class TextInput(ApiModel):
    """How texts are read."""

    max_length: int | None = Field(
        default=None,
        ge=8,
        le=8192,
        description="Tokens per row; longer rows are cut. Left out, the recipe's number as far as the base takes it.",
    )


class ImageInput(ApiModel):
    """How pictures are read."""

    size: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description="Pixels of the longer side that the model reads, rounded up to what it can take; of a model from "
        "scratch only. Left out, that of the median training picture, within bounds.",
    )
    augment: Augment | None = Field(
        default=None,
        description="move: in each epoch training sees a picture a little moved, larger or smaller, and for classes "
        f"turned by up to 10 degrees; none: as it is; {BY_RECIPE}.",
    )


class Input(ApiModel):
    """How rows reach the model, in a block per modality."""

    text: TextInput | None = Field(default=None, description="Of tasks whose rows hold texts.")
    image: ImageInput | None = Field(default=None, description="Of tasks whose rows hold images.")


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
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description=f"Rows per optimizer step, over all devices; {BY_RECIPE}. How many of them are computed at once "
        "follows from the memory asked for, and does not change the result.",
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


class ResolvedLora(StatusModel):
    """LoRA with everything that it takes."""

    rank: int = Field(description="Rank.")
    alpha: float = Field(description="Scale.")
    dropout: float = Field(description="Dropout inside the adapters.")
    targets: Targets = Field(description="Layers that are adapted.")
    dora: bool | None = Field(default=None, description="Whether length and direction are trained apart.")
    rs_lora: bool | None = Field(default=None, description="Whether the scale is alpha / sqrt(rank).")


class ResolvedAdaLora(StatusModel):
    """AdaLoRA with everything that it takes."""

    rank: int = Field(description="Rank that is left on average.")
    alpha: float = Field(description="Scale.")
    dropout: float = Field(description="Dropout inside the adapters.")
    targets: Targets = Field(description="Layers that are adapted.")


class ResolvedMethod(StatusModel):
    """The method with everything that it takes: one of its fields is set."""

    full: Full | None = None
    lora: ResolvedLora | None = None
    head: Head | None = None
    layer_norm: LayerNorm | None = None
    ia3: Ia3 | None = None
    ada_lora: ResolvedAdaLora | None = None

    @property
    def kind(self) -> str:
        """API name of the method; ValueError for one that this version does not know."""
        return chosen(self)

    @property
    def block(self) -> Any:
        """What the method takes."""
        return next(block for name in type(self).model_fields if (block := getattr(self, name)) is not None)


class ResolvedText(StatusModel):
    """How texts are read."""

    max_length: int = Field(description="Tokens per row; by recipe, at most what the base takes.")


class ResolvedImage(StatusModel):
    """How pictures are read."""

    size: int | None = Field(default=None, description="Pixels of the longer side; absent: by the training pictures.")
    augment: Augment = Field(description="How training changes pictures.")


class ResolvedInput(StatusModel):
    """How rows reach the model: the block of the task's modality is set."""

    text: ResolvedText | None = None
    image: ResolvedImage | None = None


class Hyperparameters(StatusModel):
    """All hyper-parameters of a run: nothing is left to the trainer."""

    epochs: int = Field(description="Passes over the training rows.")
    learning_rate: float = Field(description="Peak rate.")
    schedule: Schedule = Field(description="How the rate goes on after warm-up.")
    warmup: float = Field(description="Share of the steps that warm up linearly.")
    weight_decay: float = Field(description="Decoupled weight decay of AdamW.")
    linear_probe: bool = Field(description="Whether a new classifier starts as a logistic regression.")
    batch_size: int = Field(description="Rows per optimizer step, over all devices.")
    precision: Precision = Field(description="auto, bf16 or fp32.")
    seed: int = Field(description="Seed of initialisation, order and dropout.")
    early_stopping: EarlyStopping | None = None
