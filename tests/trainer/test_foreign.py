"""A foreign trainer between two of our containers: the shipped example, and what it might leave instead of a model."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode, Manifest, ModelInfo, Outcome, TrainConfig
from modelyard_trainer import pipeline
from modelyard_trainer.command import make_run, part_of
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.stopping import Stop
from tests.trainer.harness import BUCKET, TrainerHarness, environment

SCRIPT = Path(__file__).parents[2] / "examples" / "02-your-own-trainer" / "train.py"
TRAIN = {"epochs": 3, "learningRate": 3e-3, "batchSize": 16}


class Pod:
    """The folders of one pod, and its containers."""

    def __init__(self, harness: TrainerHarness, config: TrainConfig, folder: Path) -> None:
        self.harness, self.config, self.folder = harness, config, folder
        self.base, self.data, self.output = folder / "inputs/base", folder / "inputs/data", folder / "output"
        self.output.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(config.dump()))
        names = {"BASE": self.base, "DATA": self.data, "OUTPUT": self.output, "CONFIG": folder / "run.json"}
        self.told = {f"MODELYARD_{name}": str(path) for name, path in names.items()}

    def ours(self, part: str) -> tuple[ExitCode, Outcome]:
        """One of our containers."""
        with environment({**self.harness.environment(), **self.told}):
            run = make_run(self.config, self.folder / "work", Stop())
            run.part = part_of([part])
            try:
                return pipeline.execute(run)
            finally:
                run.progress.close()

    def foreign(self) -> None:
        """The script as it is shipped, without our packages."""
        quiet = {"HF_HUB_OFFLINE": "1", "HOME": str(self.folder), "PYTHONPATH": ""}
        done = subprocess.run(
            [sys.executable, str(SCRIPT)], env={**os.environ, **self.told, **quiet}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]


def a_pod(harness: TrainerHarness, name: str, base: dict[str, str], dataset: dict[str, str], folder: Path) -> Pod:
    return Pod(harness, harness.train_config(name, base, dataset, train=TRAIN), folder)


@pytest.fixture(scope="module")
def trained(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Pod:
    """The script has run."""
    pod = a_pod(harness, "run-foreign", base, dataset, tmp_path_factory.mktemp("pod"))
    code, outcome = pod.ours("fetch")
    assert code == ExitCode.PUBLISHED, outcome
    pod.foreign()
    return pod


def test_the_script_sees_no_test_rows(trained: Pod) -> None:
    assert {path.name for path in trained.data.iterdir()} == {"train.jsonl", "validation.jsonl", "labels.json"}
    assert json.loads((trained.data / "labels.json").read_text()) == ["bad", "good", "plain"]
    prefix = layout.version_prefix(trained.config.prefix)
    assert trained.harness.store.stat(BUCKET, layout.manifest_key(prefix)) is None


def test_what_it_leaves_is_judged_and_published(trained: Pod) -> None:
    (trained.output / "training_args.bin").write_bytes(pickle.dumps(print))
    code, outcome = trained.ours("publish")
    assert (code, outcome.outcome) == (ExitCode.PUBLISHED, "published"), outcome
    key = layout.manifest_key(layout.version_prefix(trained.config.prefix))
    manifest = Manifest.model_validate_json(trained.harness.store.get(BUCKET, key))
    names = {entry.path for entry in manifest.files}
    assert {"model.safetensors", "config.json", "tokenizer.json", "model.onnx", "report.json"} <= names
    assert not any(name.endswith(".bin") for name in names)
    info = ModelInfo.model_validate(manifest.info)
    assert info.labels == ["bad", "good", "plain"]
    assert [step["normalize"] for step in info.codec["prepare"]] == ["nfkc"], "requests are cleaned as its rows were"
    assert [(a.format_, a.precision) for a in info.artifacts] == [("safetensors", "fp32"), ("onnx", "fp32")]
    assert info.artifacts[1].difference is not None and info.artifacts[1].difference < 1e-4
    report = trained.harness.report(trained.config)
    assert report.metrics[0].values["macro_f1"] > report.baselines["majority"] + 0.4
    assert report.train["left_out"] == ["training_args.bin"]
    assert set(report.stages) == {"fetch", "collect", "load", "accept", "evaluate", "export", "publish"}


def nothing(output: Path) -> None:
    for path in output.iterdir():
        path.unlink()


def only_pickles(output: Path) -> None:
    (output / "model.safetensors").rename(output / "pytorch_model.bin")


def a_link(output: Path) -> None:
    (output / "model.safetensors").unlink()
    (output / "model.safetensors").symlink_to("/etc/passwd")


def a_pipe(output: Path) -> None:
    (output / "model.safetensors").unlink()
    os.mkfifo(output / "model.safetensors")


def other_classes(output: Path) -> None:
    edit(output, id2label={"0": "x", "1": "y", "2": "z"})


def fewer_classes(output: Path) -> None:
    edit(output, id2label={"0": "bad", "1": "good"})


def no_settings(output: Path) -> None:
    (output / "config.json").unlink()


def deep_settings(output: Path) -> None:
    (output / "config.json").write_text('{"a":' * 100_000)


def half_the_weights(output: Path) -> None:
    data = (output / "model.safetensors").read_bytes()
    (output / "model.safetensors").write_bytes(data[: len(data) // 2])


def no_head(output: Path) -> None:
    from safetensors.numpy import load_file, save_file

    kept = {name: value for name, value in load_file(output / "model.safetensors").items() if "classifier" not in name}
    save_file(kept, output / "model.safetensors", {"format": "pt"})


def edit(output: Path, **fields: Any) -> None:
    path = output / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


LEFT: list[tuple[Callable[[Path], None], str]] = [
    (nothing, "no *.safetensors"),
    (only_pickles, "pytorch_model.bin"),
    (a_link, "model.safetensors is a link"),
    (a_pipe, "no regular file"),
    (other_classes, "labels.json"),
    (fewer_classes, "labels.json"),
    (no_settings, "config.json"),
    (deep_settings, "config.json"),
    (half_the_weights, "$MODELYARD_OUTPUT"),
    (no_head, "classifier"),
]


@pytest.mark.parametrize(("spoil", "told"), LEFT, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_model_is_named(
    harness: TrainerHarness, trained: Pod, tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    config = trained.config.model_copy(update={"prefix": f"ns/team/models/words/runs/{spoil.__name__}/"})
    pod = Pod(harness, config, tmp_path)
    (tmp_path / "inputs").rmdir() if (tmp_path / "inputs").exists() else None
    (tmp_path / "inputs").symlink_to(trained.folder / "inputs")
    for path in trained.output.iterdir():
        if path.is_file():
            (pod.output / path.name).write_bytes(path.read_bytes())
    spoil(pod.output)
    code, outcome = pod.ours("publish")
    assert (code, outcome.reason) == (ExitCode.BAD_OUTPUT, "OutputInvalid"), outcome
    assert told in outcome.message
    assert harness.store.stat(BUCKET, layout.manifest_key(layout.version_prefix(config.prefix))) is None


def test_arguments() -> None:
    assert [part_of(words) for words in ([], ["fetch"], ["publish"])] == ["", "fetch", "publish"]
    with pytest.raises(TrainerError, match="unknown arguments"):
        part_of(["train"])
