"""A torch model as an ONNX file, and such a file as something that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard_trainer import machine

EXTERNAL_FROM = 1_500_000_000
"""Bytes of weights from which they leave the ONNX file, which cannot exceed 2 GB."""


def write_onnx(model: Any, path: Path) -> None:
    """Inputs input_ids and attention_mask (rows, tokens), output logits (rows, classes); any number of both."""
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    example = torch.ones((2, 8), dtype=torch.int64)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    torch.onnx.export(
        Logits().eval(),
        (example, example.clone()),
        str(path),
        dynamo=True,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_shapes={"input_ids": free, "attention_mask": free},
        external_data=size > EXTERNAL_FROM,
        verbose=False,
    )


def onnx_runner(path: Path) -> Any:
    """Padded batch -> logits, by ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.set_threads()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = {tensor.name for tensor in session.get_inputs()}
    return lambda batch: session.run(["logits"], {name: value for name, value in batch.items() if name in wanted})[0]
