"""Learning rates per method over the sets of sets.py, with the trainer's own code; one line of JSON per run.

python -m tests.study.rates --base FOLDER --out FILE [--part 0/2] choose|judge|decoder|recipe|methods|baselines
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.model_selection import train_test_split

from modelyard.api.recipes import RECIPES
from modelyard.api.run import TrainConfig
from modelyard.api.tasks import BASE
from modelyard.storage.store import Store
from modelyard_trainer import machine
from modelyard_trainer.baselines import word_counts
from modelyard_trainer.best import Best
from modelyard_trainer.checkpoints import Keeper, Place
from modelyard_trainer.data.mapped import MappedRows, unpacked
from modelyard_trainer.data.shards import Shards
from modelyard_trainer.diverging import Diverged
from modelyard_trainer.graphs import torch_graphs
from modelyard_trainer.history import History
from modelyard_trainer.methods import method_named
from modelyard_trainer.predict import outputs_of
from modelyard_trainer.progress import Progress
from modelyard_trainer.run import TrainRun
from modelyard_trainer.stages import adapt, load, train
from modelyard_trainer.tasks import classes, rows_of
from modelyard_trainer.tasks.protocols import Answer, Fields
from modelyard_trainer.tasks.text_classification import learner
from tests.hyperparameters import completed
from tests.study.sets import CHOSEN_ON, JUDGED_ON, sample

RATES = {
    "full": (1e-5, 5e-5, 1e-4, 3e-4, 1e-3),
    "lora": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    "head": (1e-3, 3e-3, 1e-2, 3e-2),
    "layerNorm": (3e-4, 1e-3, 3e-3, 1e-2),
    "ia3": (1e-3, 3e-3, 1e-2, 3e-2),
    "adaLora": (1e-3, 3e-3, 1e-2, 3e-2),
}
"""Over two decades or so each."""
PER_CLASS = (8, 32, 128, 0)
"""Training rows per class of the comparison of methods; 0: all."""
STEPS, BATCH, TOKENS = 200, 32, 64
LONG, FEWER = ("mails", "fortunes"), 126
"""Sets of longer texts, and the steps that they get: tokens are what a study costs."""
SEEDS = (7, 8, 9)
TASK = "text-classification"


class Setting(NamedTuple):
    """One run."""

    set: str
    method: str
    rate: float
    seed: int
    steps: int
    per_class: int = 0
    """Training rows per class; 0: all."""


def settings(phase: str) -> Iterator[Setting]:
    """`choose` with one seed on the sets whose validation rows choose, `judge` with three on the others.

    `decoder`: few runs of LoRA, for a base that is slow. `recipe`: rate and steps of the newest recipe, three seeds.
    `methods`: each with its recipe, on few rows and on many.
    """
    if phase == "decoder":
        yield from (Setting("tweets", "lora", rate, SEEDS[0], FEWER) for rate in RATES["lora"][:3])
        return
    if phase == "methods":
        for per_class, method in itertools.product(PER_CLASS, RATES):
            recipe = max(RECIPES[TASK, BASE, method].items())[1]
            yield Setting("tweets", method, recipe.learning_rate, SEEDS[0], recipe.steps, per_class)
        return
    if phase == "recipe":
        for seed, name, method in itertools.product(SEEDS, JUDGED_ON, RATES):
            recipe = max(RECIPES[TASK, BASE, method].items())[1]
            yield Setting(name, method, recipe.learning_rate, seed, recipe.steps)
        return
    names, seeds = (CHOSEN_ON, SEEDS[:1]) if phase == "choose" else (JUDGED_ON, SEEDS)
    for seed in seeds:
        for name in names:
            steps = FEWER if name in LONG else STEPS
            yield from (Setting(name, method, rate, seed, steps) for method in RATES for rate in RATES[method])


def splits(name: str, per_class: int = 0) -> dict[str, list[Fields]]:
    """Eight of ten rows train, one validates, one tests; by class, the same for every seed of training.

    `per_class`: of the training rows so many per class are kept.
    """
    rows = sample(name)
    kept, judging = train_test_split(rows, test_size=0.2, random_state=3, stratify=[row["label"] for row in rows])
    labels = [row["label"] for row in judging]
    can = min(labels.count(label) for label in set(labels)) > 1
    validation, test = train_test_split(judging, test_size=0.5, random_state=3, stratify=labels if can else None)
    return {"train": _fewer(kept, per_class) if per_class else kept, "validation": validation, "test": test}


def _fewer(rows: list[Fields], per_class: int) -> list[Fields]:
    count, found = Counter[str](), []
    for row in rows:
        count[row["label"]] += 1
        if count[row["label"]] <= per_class:
            found.append(row)
    return found


def measure(setting: Setting, base: Path, folder: Path) -> dict[str, Any]:
    """Macro F1 of the best epoch on validation and test rows."""
    run = _prepared(setting, base, folder)
    keeper, best = Keeper(Place(run.store, "none", "none/"), 1), Best(run.folder("best"))
    history = History(run.folder("history"), lambda path, name: None, [])
    from modelyard_trainer.callbacks import Choosing

    choosing, began = Choosing(best, None, run.stop), time.monotonic()
    loop = train._loop(run, train._callbacks(run, keeper, best, history))
    choosing.attach(loop)
    train._start(run, loop)
    found: dict[str, Any] = {**setting._asdict(), "diverged": ""}
    try:
        loop.train()
    except Diverged as fault:
        return {**found, "diverged": str(fault), "validation": 0.0, "test": 0.0}
    finally:
        history.close()
    model = loop.accelerator.unwrap_model(loop.model, keep_fp32_wrapper=False)
    best.restore(model)
    model = method_named(setting.method).finish(model).float()
    scores = {side: _macro_f1(run, model, side) for side in ("validation", "test")}
    tokens = sum(reading.size for reading in run.read["train"]) * run.config.train.epochs
    seconds = time.monotonic() - began
    return {**found, **scores, "epochs": run.config.train.epochs, "seconds": round(seconds), "tokens": tokens,
            "trained": run.figures["trainable_parameters"]}  # fmt: skip


def baselines(name: str, per_class: int = 0) -> dict[str, Any]:
    """Macro F1 of TF-IDF with logistic regression, and of the commonest class, on the test rows."""
    sides = splits(name, per_class)
    guesses = {"tfidf": word_counts, "majority": classes.majority}
    found = {key: _f1_of(guess(sides["train"], sides["test"]), sides) for key, guess in guesses.items()}
    return {
        "set": name,
        "per_class": per_class,
        **found,
        "train": len(sides["train"]),
        "classes": len(classes.labels_of(sides["train"])),
    }


def _f1_of(guesses: list[Answer], sides: dict[str, list[Fields]]) -> float:
    labels = classes.labels_of(sides["train"])
    return classes.measure(guesses, sides["test"], labels, "macro_f1").values["macro_f1"]


def _prepared(setting: Setting, base: Path, folder: Path) -> TrainRun:
    sides = splits(setting.set, setting.per_class)
    per_epoch = math.ceil(len(sides["train"]) / BATCH)
    settings = {
        "epochs": max(1, min(50, round(setting.steps / per_epoch))), "learningRate": setting.rate, "batchSize": BATCH,
        "seed": setting.seed,
    }  # fmt: skip
    nowhere = Store.connect("http://127.0.0.1:9", "none", "none")
    config = {
        "name": "study", "run": "study", "model": "study", "prefix": "study/", "task": TASK,
        "store": {"endpoint": "http://127.0.0.1:9", "bucket": "none"},
        "base": {"uri": "s3://none/", "digest": "", "record": ""},
        "dataset": {"prefix": "none/", "digest": ""}, "method": {setting.method: {}}, "train": settings,
        "input": {"text": {"maxLength": TOKENS}},
        "export": ["safetensors"], "checkpointEvery": 36000, "checkpointKeep": 1, "image": "none",
    }  # fmt: skip
    run = TrainRun(TrainConfig.model_validate(completed(config)), nowhere, nowhere, folder, Progress(lambda body: None))
    run.base, run.rows, run.prepare = base, _mapped(sides, run.folder("dataset")), []
    load.execute(run)
    adapt.execute(run)
    return run


def _mapped(sides: dict[str, list[Fields]], folder: Path) -> dict[str, MappedRows]:
    """Rows as a run has them."""
    schema = rows_of(TASK).schema()
    shards = Shards(folder, schema, [])
    for side, rows in sides.items():
        for row in rows:
            shards.add(side, row)
    shards.close()
    return {side: unpacked(sorted(folder.glob(f"{side}-*.parquet")), schema) for side in sides}


def _macro_f1(run: TrainRun, model: Any, side: str) -> float:
    outputs = outputs_of(run.codec, torch_graphs(learner.parts(model)), run.read[side])
    answers = [run.codec.decode(output, reading) for output, reading in zip(outputs, run.read[side], strict=True)]
    return run.codec.measure(answers, run.rows[side]).values["macro_f1"]


def main() -> None:
    """Run what is not in the file yet."""
    parser = argparse.ArgumentParser(prog="python -m tests.study.rates", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument(
        "--out", type=Path, required=True, help="file of JSON lines; runs that it holds are not repeated"
    )
    parser.add_argument("--part", default="0/1", help="which part of the runs, for example 0/2")
    parser.add_argument("phase", choices=("choose", "judge", "decoder", "recipe", "methods", "baselines"))
    parser.add_argument("--method", action="append", choices=sorted(RATES), help="only these; may be repeated")
    parser.add_argument("--set", action="append", help="only these; may be repeated")
    options = parser.parse_args()
    machine.set_threads()
    if options.phase == "baselines":
        for name in (*CHOSEN_ON, *JUDGED_ON):
            _write(options.out, baselines(name))
        for per_class in PER_CLASS[:-1]:
            _write(options.out, baselines("tweets", per_class))
        return
    part, parts = map(int, options.part.split("/"))
    wanted = [
        one
        for one in settings(options.phase)
        if one.method in (options.method or RATES) and one.set in (options.set or (*CHOSEN_ON, *JUDGED_ON))
    ]
    for setting in wanted[part::parts]:
        if any(setting._asdict().items() <= line.items() for line in _lines(options.out)):
            continue
        with tempfile.TemporaryDirectory() as folder:
            _write(options.out, measure(setting, options.base, Path(folder)))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _write(path: Path, values: dict[str, Any]) -> None:
    line = json.dumps(values)
    print(line, flush=True)
    with path.open("a") as stream:
        stream.write(line + "\n")


if __name__ == "__main__":
    main()
