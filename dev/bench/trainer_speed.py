"""Tokens per second of the trainer's loop and of a plain PyTorch loop on the same batches, interleaved ABBA.

Run inside the trainer image: python -m dev.bench.trainer_speed --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

from modelyard.api.run import TrainConfig
from modelyard.storage.store import Store
from modelyard_trainer import machine
from modelyard_trainer.data.readings import Readings
from modelyard_trainer.progress import Progress
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks.protocols import Reading
from modelyard_trainer.tasks.text_classification.codec import TextClassifier
from modelyard_trainer.tasks.texts import TextReader, as_reading
from tests.hyperparameters import completed

WARM = 5
"""Steps of each part that are not timed."""
TARGET = 0.95
BATCH = 32
CLASSES = 3


def main() -> int:
    """Measure and write; 1 if the ratio is below the target."""
    parser = argparse.ArgumentParser(prog="python -m dev.bench.trainer_speed", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--steps", type=int, default=30, help="timed steps of each part")
    parser.add_argument("--rounds", type=int, default=2, help="ABBA rounds")
    options = parser.parse_args()
    found = measure(options.steps, options.rounds)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return int(found["ratio"] < TARGET)


def measure(steps: int, rounds: int) -> dict[str, Any]:
    """Medians of both loops, their ratio, and what the machine can do."""
    machine.set_threads()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    speeds: dict[str, list[float]] = {"trainer": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        run = _run(Path(folder), (steps + WARM) * BATCH)
        for _ in range(rounds):
            for name in ("trainer", "plain", "plain", "trainer"):
                speeds[name].append(_PARTS[name](run))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {
        "ratio": round(medians["trainer"] / medians["plain"], 3),
        "target": TARGET,
        "tokens_per_second": {name: round(value) for name, value in medians.items()},
        "every": {name: [round(value) for value in values] for name, values in speeds.items()},
        "parameters": 22_713_216,
        "precision": "bf16" if machine.cpu_has_bf16() else "fp32",
        "threads": machine.set_threads(),
        "machine": {"gflops_fp32": _gemm("float32"), "gflops_bf16": _gemm("bfloat16")},
        "load": os.getloadavg()[0],
    }


def _run(folder: Path, count: int) -> TrainRun:
    """A run as the stages see it: rows of 8 to 64 tokens, no store behind it."""
    chance = random.Random(0)
    config = TrainConfig.model_validate(
        completed(
            {
                "name": "speed",
                "run": "speed",
                "model": "speed",
                "prefix": "speed/",
                "store": {"endpoint": "http://127.0.0.1:9", "bucket": "none"},
                "task": "text-classification",
                "base": {"uri": "s3://none/", "digest": "", "record": ""},
                "dataset": {"prefix": "none/", "digest": ""},
                "method": {"full": {}},
                "train": {"batchSize": BATCH, "epochs": 1},
                "export": ["onnx"],
                "checkpointEvery": 3600,
                "checkpointKeep": 1,
                "image": "none",
            }
        )
    )
    nowhere = Store.connect("http://127.0.0.1:9", "none", "none")
    progress = Progress(lambda body: None)
    run = TrainRun(config=config, store=nowhere, quick=nowhere, work=folder, progress=progress)
    rows = [np.asarray(chance.choices(range(1000, 30000), k=chance.randint(8, 64)), np.int32) for _ in range(count)]
    labels = [str(number) for number in range(CLASSES)]
    run.codec = TextClassifier(TextReader(cast(Any, None), 0, 64, []), labels)
    made = {split: [{"label": chance.choice(labels)} for _ in rows] for split in ("train", "validation")}
    run.rows = cast(Any, made)
    run.read = {"train": _Random(rows), "validation": _Random(rows[:BATCH])}
    return run


class _Random(Readings):
    """Rows of these token ids."""

    def __init__(self, rows: list[np.ndarray]) -> None:
        self._ids, self.sizes, self.cut = rows, np.array([len(row) for row in rows]), 0

    def __len__(self) -> int:
        return len(self._ids)

    def _reading(self, row: int) -> Reading:
        return as_reading(self._ids[row])


def _model() -> Any:
    """The shape of MiniLM (22.7 million weights), random."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    return BertForSequenceClassification(BertConfig(vocab_size=30522, num_labels=CLASSES, **shape))


def _trainer_speed(run: TrainRun) -> float:
    """The trainer's own loop with its own arguments and callbacks; the evaluation at the end is not timed."""
    from transformers import TrainerCallback

    from modelyard_trainer.best import Best
    from modelyard_trainer.checkpoints import Keeper, Place
    from modelyard_trainer.history import History
    from modelyard_trainer.stages import train

    class Clock(TrainerCallback):  # type: ignore[misc]
        began = ended = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            if state.global_step == WARM:
                self.began = time.perf_counter()
            self.ended = time.perf_counter()

    run.model, clock = _model(), Clock()
    history = History(run.folder("history"), lambda path, name: None, [])
    keeper, best = Keeper(Place(run.store, "none", "none/"), 1), Best(run.folder("best"))
    loop = train._loop(run, train._callbacks(run, keeper, best, history))
    loop.add_callback(clock)
    loop.train()
    history.close()
    return _timed_tokens(run) / (clock.ended - clock.began)


def _plain_speed(run: TrainRun) -> float:
    """What one would write by hand: the same rows in the same order, AdamW, clipping, linear schedule, autocast."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    from modelyard_trainer.stages import train

    settings, model = train._arguments(run), _model()
    device = settings.device
    model.to(device).train()
    batches = list(_batches(run))
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, settings.warmup_steps, len(batches))
    began = 0.0
    for step, (inputs, targets) in enumerate(batches):
        if step == WARM:
            began = time.perf_counter()
        tensors = {name: torch.from_numpy(value).to(device) for name, value in inputs.items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
            loss = model(**tensors, labels=torch.tensor(targets, device=device)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        loss.item()
    return _timed_tokens(run) / (time.perf_counter() - began)


_PARTS = {"trainer": _trainer_speed, "plain": _plain_speed}


def _order(run: TrainRun) -> list[int]:
    """The order that the trainer's sampler gives in its first epoch."""
    from modelyard_trainer.loop import Examples, batch_order

    return list(batch_order(Examples(run, "train").sizes, BATCH, run.config.train.seed, 0))


def _batches(run: TrainRun) -> Any:
    order, read, codec = _order(run), run.read["train"], run.codec
    targets = [codec.labels.index(row["label"]) for row in run.rows["train"]]
    for at in range(0, len(order), BATCH):
        numbers = order[at : at + BATCH]
        yield codec.batch([read[n] for n in numbers]), [targets[n] for n in numbers]


def _timed_tokens(run: TrainRun) -> int:
    """Real (not padded) tokens of the timed steps."""
    return sum(run.read["train"][number].size for number in _order(run)[WARM * BATCH :])


def _gemm(kind: str, size: int = 1024, seconds: float = 1.0) -> float:
    """GFLOP/s of a square matrix product on the CPU."""
    import torch

    left, right = (torch.randn(size, size).to(getattr(torch, kind)) for _ in range(2))
    torch.mm(left, right)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        torch.mm(left, right)
        count += 1
    return round(2 * size**3 * count / (time.perf_counter() - began) / 1e9, 1)


if __name__ == "__main__":
    sys.exit(main())
