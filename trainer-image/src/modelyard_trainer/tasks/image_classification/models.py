"""Networks that are made anew, small ones that learn from some thousand pictures; imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import (
    PreTrainedConfig,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

from modelyard_trainer.tasks.image_base import grid
from modelyard_trainer.tasks.images import Lens

GROUPS = 8
"""Of channels that are normalised together: of one picture, so that nothing depends on the batch it is in."""


class CnnConfig(PreTrainedConfig):  # type: ignore[misc]
    """Channels per stage; each stage halves the picture."""

    model_type = "modelyard-cnn"

    def __init__(
        self, num_channels: int = 3, widths: list[int] | None = None, dropout: float = 0.1, **settings: Any
    ) -> None:
        self.num_channels = num_channels
        self.widths = widths or [16, 32, 64]
        self.dropout = dropout
        super().__init__(**settings)


class CnnForImageClassification(PreTrainedModel):  # type: ignore[misc]
    """Stages of two convolutions and a pooling, the mean over all places, one linear layer."""

    config_class = CnnConfig
    main_input_name = "pixel_values"

    def __init__(self, config: CnnConfig) -> None:
        super().__init__(config)
        stages, before = [], config.num_channels
        for width in config.widths:
            stages += [*_convolution(before, width), *_convolution(width, width), nn.MaxPool2d(2, ceil_mode=True)]
            before = width
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(before, config.num_labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """As torch made them."""

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **_: Any) -> Any:
        """Logits, and the mean loss if `labels` are given."""
        features = self.stages(pixel_values).mean(dim=(2, 3))
        logits = self.classifier(self.dropout(features))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=logits)


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, after), nn.ReLU()]


WIDTHS = (16, 32, 64, 128, 128, 128)
"""Channels of the stages of a convolutional network, of which there are as many as leave about four pixels a side."""


def _read_as(lens: Lens) -> dict[str, Any]:
    """What a network's configuration tells of its input; the export asks for the size."""
    return {"num_channels": len(lens.mean), "image_size": [lens.height, lens.width]}


def _cnn(lens: Lens, settings: dict[str, Any]) -> nn.Module:
    stages = max(2, round(math.log2(max(lens.height, lens.width) / 4)))
    return CnnForImageClassification(CnnConfig(widths=list(WIDTHS[:stages]), **settings, **_read_as(lens)))


def _resnet(lens: Lens, settings: dict[str, Any]) -> nn.Module:
    config = ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 64],
        depths=[1, 1, 1],
        layer_type="basic",
        **settings,
        **_read_as(lens),
    )
    return ResNetForImageClassification(config)


def _vit(lens: Lens, settings: dict[str, Any]) -> nn.Module:
    config = ViTConfig(
        patch_size=grid(max(lens.height, lens.width)),
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **settings,
        **_read_as(lens),
    )
    return ViTForImageClassification(config)


MADE: dict[str, Callable[[Lens, dict[str, Any]], nn.Module]] = {"cnn": _cnn, "resnet": _resnet, "vit": _vit}
"""Architecture (api/tasks.py) -> a network with random weights."""
KINDS = {
    made.config_class.model_type: made
    for made in (CnnForImageClassification, ResNetForImageClassification, ViTForImageClassification)
}
"""Type of a configuration -> its network."""
