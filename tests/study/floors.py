"""What each task reaches on real rows: an example's Dataset and job, at its real size, through the trainer's pipeline.

python -m tests.study.floors [--seed 7] [--method lora] [--start vit] [--set learningRate=1e-3] [--out FILE] NAME

What the job leaves out is filled as the operator fills it. One line of JSON per run; its table is docs/defaults.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dev.localcluster.minio import MinioServer
from examples.demo.data import minilm
from examples.demo.shell import ROOT
from examples.demo.smollm2 import smollm2
from modelyard.api import layout
from modelyard.api.dataset import DatasetSpec
from modelyard.api.finetunejob import FineTuneJobSpec
from modelyard.api.recipes import RECIPES, at_once
from modelyard.api.run import ExitCode, RunReport, TrainConfig
from modelyard.api.tasks import BASE
from modelyard.resources.finetunejob.micro_batch import micro_batch
from modelyard.storage.store import Store
from tests.hyperparameters import completed
from tests.study.floor_rows import EXAMPLES, rows
from tests.trainer.harness import BUCKET, TrainerHarness

SMOLLM2 = "smollm2-135m-instruct"


@dataclass(frozen=True)
class Setting:
    """How a run differs from the example's job."""

    seed: int = 7
    method: str = ""
    start: str = ""
    """Another architecture than the job's."""
    train: tuple[tuple[str, Any], ...] = ()
    """Fields of spec.train."""


def job_of(name: str) -> FineTuneJobSpec:
    """The example's job."""
    return FineTuneJobSpec.model_validate({**_spec(name, "finetunejob"), "model": {"name": name}})


def _spec(name: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / f"examples/{EXAMPLES[name]}/{kind}.yaml").read_text())["spec"]
    return found


def prepared(harness: TrainerHarness, name: str) -> tuple[dict[str, str], dict[str, int]]:
    """Pin of the example's rows, prepared as its Dataset says, and how many there are per split."""
    dataset = DatasetSpec.model_validate(_spec(name, "dataset"))
    uri = harness.put(f"raw/floor-{name}.jsonl", rows(name).read_bytes())
    source = {**dataset.source.dump(), "s3": {"uri": uri}}
    steps = [step.dump() for step in dataset.prepare]
    config = harness.prepare_config(f"floor-{name}", source, task=dataset.task, steps=steps)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]
    return {"prefix": config.prefix, "digest": info["digest"]}, info["rows"]


def measure(harness: TrainerHarness, name: str, setting: Setting) -> dict[str, Any]:
    """Figures and baselines on the test rows, and the seconds of the processor that the whole run took."""
    pin, count = prepared(harness, name)
    config = config_of(harness, name, setting, pin, count["train"])
    began = time.process_time()
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    seconds = round(time.process_time() - began)
    start, method = config.scratch or BASE, next(iter(config.method.dump()))
    made = {"floor": name, "start": start, "method": method, "seed": setting.seed, "train": dict(setting.train)}
    return {**made, "rows": count, "epochs": config.train.epochs, "cpu": seconds, **_figures(harness.report(config))}


def _figures(report: RunReport) -> dict[str, Any]:
    told = ("steps", "best_step", "learning_rate", "diverged", "loss", "precision", "missing_baselines")
    found = {key: report.train[key] for key in told if report.train.get(key) is not None}
    return {"values": report.metrics[0].values, "baselines": report.baselines, **found}


def config_of(harness: TrainerHarness, name: str, setting: Setting, dataset: dict[str, str], count: int) -> TrainConfig:
    """What the operator makes of the example's job for so many training rows."""
    job, run = job_of(name), f"floor-{name}-{len(harness.runs)}"
    harness.runs.add(run)
    base = _base(harness, job.from_.base or "") if job.from_.scratch is None else None
    fields: dict[str, Any] = {
        "name": name, "run": run, "model": name, "prefix": layout.run_prefix("team", name, run),
        "store": harness.location, "task": job.task, "base": base, "dataset": dataset,
        "scratch": None if base else setting.start or job.from_.start, "input": job.input.dump(),
        "train": {**job.train.dump(), "seed": setting.seed, **dict(setting.train)}, "export": job.export,
        "checkpointEvery": 36000, "checkpointKeep": 1, "image": "none",
    }  # fmt: skip
    if setting.method:
        fields["method"] = {setting.method: {}}
    elif job.method:
        fields["method"] = job.method.dump()
    filled = completed(fields, count)
    found = TrainConfig.model_validate(filled)
    key = job.task, found.scratch or BASE, next(iter(filled["method"]))
    whole = at_once(*key, max(RECIPES[key]))
    parts = micro_batch(found.train.batch_size, found.input, job.resources, whole)
    return found.model_copy(update={"micro_batch": parts})


def _base(harness: TrainerHarness, uri: str) -> dict[str, str]:
    """The base that the job names, out of the package that has it."""
    if SMOLLM2 in uri:
        return harness.put_folder(f"base/{SMOLLM2}/", smollm2())
    for file, content in minilm().items():
        harness.put(f"base/minilm/{file}", content)
    return harness.pin("base/minilm/")


def table(found: Sequence[dict[str, Any]]) -> str:
    """A line per run."""
    lines = []
    for one in found:
        values, below = (
            ", ".join(f"{name} {value:.3f}" for name, value in one[key].items()) for key in ("values", "baselines")
        )
        what = f"{one['floor']} {one['start']} {one['method']} seed {one['seed']}"
        lines.append(f"{what}: {values} | {below} | {one['steps']} steps, {one['cpu']} s of the processor")
    return "\n".join(lines)


def main() -> None:
    """Run a floor once per seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.study.floors", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="may be given several times")
    parser.add_argument("--method", default="", help="in place of the job's")
    parser.add_argument("--start", default="", help="architecture in place of the job's")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of spec.train")
    parser.add_argument("--out", type=Path, required=True, help="file that gets a line of JSON per run")
    parser.add_argument("name", choices=sorted(EXAMPLES))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train = tuple((key, json.loads(value)) for key, _, value in (one.partition("=") for one in given.set))
    with MinioServer() as server, tempfile.TemporaryDirectory() as work:
        store = Store.connect(server.url, server.access_key, server.secret_key, patience=5)
        store.ensure_bucket(BUCKET)
        harness = TrainerHarness(server, store, Path(work))
        for seed in given.seed or [7]:
            found = measure(harness, given.name, Setting(seed, given.method, given.start, train))
            print(table([found]), flush=True)
            with given.out.open("a") as stream:
                stream.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
