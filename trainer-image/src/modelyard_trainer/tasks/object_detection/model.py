"""A dense detector without anchors, small enough to learn on a CPU; imports torch.

After Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019, at one scale: each place of a grid
tells what object it is in, and how far the four sides of its box are away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

STRIDE = 8
"""Pixels between two places."""
GROUPS = 8
"""Of channels that are normalised together: of one picture, so that nothing depends on the batch it is in."""
ALPHA, GAMMA = 0.25, 2.0
"""Of the focal loss (Lin et al., ICCV 2017)."""
FARTHEST = 6.0
"""Logarithm of the strides that a side may be away."""


class DenseConfig(PreTrainedConfig):  # type: ignore[misc]
    """Channels at a half, a quarter, an eighth and a sixteenth of the picture."""

    model_type = "modelyard-dense-detector"

    def __init__(
        self,
        num_channels: int = 3,
        image_size: Sequence[int] = (96, 96),
        widths: Sequence[int] = (16, 32, 64, 96),
        **settings: Any,
    ) -> None:
        self.num_channels = num_channels
        self.image_size = list(image_size)
        self.widths = list(widths)
        super().__init__(**settings)


class Block(nn.Module):  # type: ignore[misc]
    """Two convolutions beside which the input goes on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(*_convolution(width, width), *_convolution(width, width)[:2])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Of the same shape."""
        return nn.functional.relu(features + self.inner(features))


class DenseForObjectDetection(PreTrainedModel):  # type: ignore[misc]
    """Features at a sixteenth are laid over those at an eighth, and a head tells classes and boxes from both."""

    config_class = DenseConfig
    main_input_name = "pixel_values"

    def __init__(self, config: DenseConfig) -> None:
        super().__init__(config)
        half, quarter, eighth, sixteenth = config.widths
        self.stem = nn.Sequential(*_convolution(config.num_channels, half, 2), *_convolution(half, quarter, 2))
        self.fine = nn.Sequential(Block(quarter), *_convolution(quarter, eighth, 2), Block(eighth))
        self.coarse = nn.Sequential(*_convolution(eighth, sixteenth, 2), Block(sixteenth), Block(sixteenth))
        self.across = nn.Conv2d(sixteenth, eighth, 1)
        self.head = nn.Sequential(*_convolution(eighth, eighth), *_convolution(eighth, eighth))
        self.classes = nn.Conv2d(eighth, config.num_labels, 3, padding=1)
        self.sides = nn.Conv2d(eighth, 4, 3, padding=1)
        nn.init.constant_(self.classes.bias, -4.6)  # each place says 0.01 at first, or the empty ones drown the rest
        self.register_buffer("places", places(*config.image_size), persistent=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """As torch made them."""

    def forward(
        self,
        pixel_values: torch.Tensor,
        numbers: torch.Tensor | None = None,
        wanted: torch.Tensor | None = None,
    ) -> Any:
        """Logits (rows, places, classes) and boxes (rows, places, 4); the loss if what is wanted is given.

        `numbers`: (rows, places) class of the place's object, -1 for none; `wanted`: (rows, places, 4) its box.
        """
        fine = self.fine(self.stem(pixel_values))
        above = nn.functional.interpolate(self.across(self.coarse(fine)), size=fine.shape[-2:], mode="nearest")
        features = self.head(fine + above)
        logits = self.classes(features).flatten(2).transpose(1, 2)
        away = self.sides(features).flatten(2).transpose(1, 2).clamp(max=FARTHEST).exp() * STRIDE
        boxes = torch.cat([self.places - away[..., :2], self.places + away[..., 2:]], dim=2)
        if numbers is None or wanted is None:
            return ModelOutput(logits=logits, boxes=boxes)
        return ModelOutput(loss=loss(logits.float(), boxes.float(), numbers, wanted), logits=logits, boxes=boxes)


def _convolution(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(GROUPS, after), nn.ReLU()]


def places(height: int, width: int) -> torch.Tensor:
    """(places, 2) x and y of the middles of the grid's squares, row by row."""
    y, x = (torch.arange(side // STRIDE) * STRIDE + STRIDE / 2 for side in (height, width))
    return torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], dim=1)


def loss(logits: torch.Tensor, boxes: torch.Tensor, numbers: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean over rows of focal loss and GIoU loss, each per place that is in an object."""
    inside = numbers >= 0
    count = inside.sum(dim=1).clamp(min=1)
    truth = nn.functional.one_hot(numbers.clamp(min=0), logits.shape[2]) * inside[..., None]
    focal = _focal(logits, truth.to(logits.dtype)).sum(dim=(1, 2)) / count
    apart = (_giou_loss(boxes, wanted) * inside).sum(dim=1) / count
    return (focal + apart).mean()


def _focal(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    score = logits.sigmoid()
    right = truth * score + (1 - truth) * (1 - score)
    weight = truth * ALPHA + (1 - truth) * (1 - ALPHA)
    plain = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return weight * (1 - right) ** GAMMA * plain


def _giou_loss(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """1 - GIoU (Rezatofighi et al., CVPR 2019) of boxes by corners, pair by pair."""
    shared = (torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])).clamp(min=0)
    around = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(one[..., :2], other[..., :2])
    common, hull = shared.prod(dim=-1), around.prod(dim=-1).clamp(min=1e-6)
    first, second = ((boxes[..., 2:] - boxes[..., :2]).prod(dim=-1) for boxes in (one, other))
    union = (first + second - common).clamp(min=1e-6)
    return 1 - common / union + (hull - union) / hull
