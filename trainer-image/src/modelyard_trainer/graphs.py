"""The graphs of a model: as torch runs them, as ONNX files, and as such files answer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelyard_trainer import machine
from modelyard_trainer.tasks.protocols import Arrays, Graph, Part

EXTERNAL_FROM = 1_500_000_000
"""Bytes of weights from which they leave the ONNX file, which cannot exceed 2 GB."""
SUFFIX = ".onnx"


def torch_graphs(parts: Mapping[str, Part]) -> dict[str, Graph]:
    """Each part as a function of arrays: on the model's device, in fp32, without dropout."""
    return {name: _torch_graph(part) for name, part in parts.items()}


def _torch_graph(part: Part) -> Graph:
    import torch

    module = part.module.eval()
    device = next(module.parameters()).device

    def run(arrays: Arrays) -> Arrays:
        with torch.inference_mode():
            found = module(*(torch.from_numpy(arrays[name]).to(device) for name in part.example))
        answers = found if isinstance(found, tuple) else (found,)
        return {name: _plain(value) for name, value in zip(part.outputs, answers, strict=True)}

    return run


def _plain(value: Any) -> np.ndarray:
    found: np.ndarray = (value.float() if value.is_floating_point() else value).cpu().numpy()
    return found


def write_onnx(parts: Mapping[str, Part], folder: Path) -> None:
    """Leave <name>.onnx for each part."""
    for name, part in parts.items():
        _write(part, folder / f"{name}{SUFFIX}")


def _write(part: Part, path: Path) -> None:
    import torch

    any_length = torch.export.Dim.DYNAMIC
    size = sum(weight.numel() * weight.element_size() for weight in part.module.parameters())
    torch.onnx.export(
        part.module.eval(),
        tuple(torch.from_numpy(value) for value in part.example.values()),
        str(path),
        dynamo=True,
        input_names=list(part.example),
        output_names=list(part.outputs),
        dynamic_shapes=_as_taken(
            part, [{axis: any_length for axis in part.free.get(name, ())} for name in part.example]
        ),
        external_data=size > EXTERNAL_FROM,
        verbose=False,
    )


def _as_taken(part: Part, inputs: list[Any]) -> tuple[Any, ...]:
    """One for each parameter of the module's forward: those that it takes together are a tuple of their own."""
    taken = list(inspect.signature(part.module.forward).parameters.values())
    if not taken or taken[-1].kind is not inspect.Parameter.VAR_POSITIONAL:
        return tuple(inputs)
    return (*inputs[: len(taken) - 1], tuple(inputs[len(taken) - 1 :]))


def onnx_graphs(folder: Path) -> dict[str, Graph]:
    """The graphs of a folder, by ONNX Runtime on the CPU."""
    return {path.stem: onnx_graph(path, machine.set_threads()) for path in sorted(folder.glob(f"*{SUFFIX}"))}


def onnx_graph(path: Path, threads: int) -> Graph:
    """A graph on the CPU that uses at most `threads` threads per request; inputs that it does not know are left out."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would burn the pod's CPU quota between two requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {tensor.name for tensor in session.get_inputs()}
    outputs = [tensor.name for tensor in session.get_outputs()]

    def run(arrays: Arrays) -> Arrays:
        found = session.run(outputs, {name: value for name, value in arrays.items() if name in inputs})
        return dict(zip(outputs, found, strict=True))

    return run
