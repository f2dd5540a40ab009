"""The version's folder: a bag of the tests' telling words as ONNX, which the real server loads and answers with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from modelyard.api import layout
from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.run import ModelInfo, Written
from modelyard_trainer.run import Publication, TrainRun
from tests.server.onnxfile import classifier
from tests.stubtrainer import behaviour
from tests.trainer.words import TELLING

LABELS = sorted(TELLING)


def execute(run: TrainRun) -> None:
    """Leave a folder that is ready to be published."""
    assert run.config.base is not None
    bucket, prefix = layout.split_uri(run.config.base.uri)
    files = {name: run.store.get(bucket, prefix + name) for name in ("config.json", "tokenizer.json")}
    asked = behaviour.read(files["config.json"])
    for name, content in files.items():
        (run.version / name).write_bytes(content)
    _write_weights(run.version / "model.safetensors", asked.weights)
    model = classifier(weights(files["tokenizer.json"]))
    (run.version / "model.onnx").write_bytes(model if asked.loads else b"no model")
    run.publication = Publication(run.target, run.version, "model", _info(run, asked.macro_f1).dump())


def weights(tokenizer: bytes) -> np.ndarray:
    """Scores of shape (tokens, classes): each telling word speaks for its class."""
    numbers: dict[str, int] = json.loads(tokenizer)["model"]["vocab"]
    found: np.ndarray = np.zeros((len(numbers), len(LABELS)), dtype=np.float32)
    for label, words in TELLING.items():
        found[[numbers[word] for word in words], LABELS.index(label)] = 3.0
    return found


def _write_weights(path: Path, mebibytes: int) -> None:
    with path.open("wb") as stream:
        stream.write(b"not served")
        for _ in range(mebibytes):
            stream.write(os.urandom(1 << 20))


def _info(run: TrainRun, macro_f1: float) -> ModelInfo:
    config = run.config
    return ModelInfo(
        task=config.task,
        run=config.run,
        model=config.model,
        labels=LABELS,
        codec={"maxLength": config.input.text.max_length if config.input.text else 0, "prepare": []},
        artifacts=[
            Written(format_=name, precision="fp32", difference=0.0 if name == "onnx" else None)
            for name in config.export
        ],
        metrics=[Metrics(set_=TEST, primary="macro_f1", values={"macro_f1": macro_f1, "accuracy": macro_f1})],
        dataset=config.dataset.digest,
        base=config.base.digest if config.base else None,
        image=config.image,
        sample={"text": "thing1 superb lovely the day"},
    )
