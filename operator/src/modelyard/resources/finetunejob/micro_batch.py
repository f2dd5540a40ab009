"""How many rows a device computes at once: from memory asked for and length of the input.

It decides speed and memory: the trainer weights the parts of a batch by their rows, so that but for rounding and the
draws of dropout the result is that of the whole batch. So it is pinned with the run and stays out of its id.

The rule reckons with a model of BERT-base's shape in fp32. What the forward pass keeps for the backward pass is, per
layer and token, 34 h + 5 a s bytes in 16 bits (Korthikanti et al., "Reducing Activation Recomputation in Large
Transformer Models", 2022, equation 2; h width, a heads, s tokens of a row), twice that in 32. Half of the memory may be
taken by that; weights, gradients, the optimizer's state and the libraries take the other half.
"""

from __future__ import annotations

import math

from modelyard.api.common import Resources
from modelyard.api.hyperparameters import ResolvedInput
from modelyard.resources.quantity import in_bytes

LAYERS, WIDTH, HEADS = 12, 768, 12
GPU_MEMORY = 16 << 30
"""Bytes of the smallest card that is commonly rented for training: nothing in the API says which one it will be."""
TOKENS = 512
"""Of a row whose input has no length of its own."""
BYTES_OF_PIXEL, SIDE = 2048, 224
"""Of a picture: six arrays of 16 channels in fp32 for the first stage of a small network, and as many for all that
follow it, with their gradients; and its size where the rows decide it."""


def micro_batch(batch_size: int, input_: ResolvedInput, resources: Resources, whole: bool = False) -> int:
    """Rows at once on each device, at least one; the parts of a batch are as equal as can be.

    `whole`: the recipe asks for all rows of a batch at once (statistics over the batch would follow from the memory).
    """
    share = math.ceil(batch_size / max(1, resources.gpu))
    if whole:
        return share
    memory = GPU_MEMORY if resources.gpu else in_bytes(resources.memory)
    fit = max(1, memory // 2 // _bytes_of_input(input_))
    return math.ceil(share / math.ceil(share / fit))


def _bytes_of_input(input_: ResolvedInput) -> int:
    if input_.image:
        return BYTES_OF_PIXEL * (input_.image.size or SIDE) ** 2
    return _bytes_of_row(input_.text.max_length if input_.text else TOKENS)


def _bytes_of_row(tokens: int) -> int:
    return 2 * LAYERS * tokens * (34 * WIDTH + 5 * HEADS * tokens)
