"""Takes what a foreign trainer left: plain safetensors and JSON files, never a link, never anything that could run."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
from pathlib import Path
from typing import IO, Any

from modelyard.api.run import OUTPUT_PATH
from modelyard_trainer.errors import bad_output
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks.classes import labels_of

log = logging.getLogger(__name__)
WANTED = (".safetensors", ".json")
LARGEST_JSON = 64 << 20
NAMED = 20


def execute(run: TrainRun) -> None:
    """Leave run.base: a folder of ours with the foreign model and a tokenizer; BAD_OUTPUT names what is wrong."""
    source, target = Path(os.environ.get("MODELYARD_OUTPUT", OUTPUT_PATH)), run.folder("collected")
    left_out = [entry.name for entry in sorted(source.iterdir()) if not _take(entry, target)]
    if left_out:
        run.figures["left_out"] = left_out[:NAMED]
        log.info("left behind, as only *.safetensors and *.json are published: %s", ", ".join(left_out[:NAMED]))
    _complete(run, target)
    _check_labels(run, target, left_out)
    run.base = target


def _take(entry: Path, target: Path) -> bool:
    """Copy a file that may be published; False for what is left behind."""
    if entry.name.startswith(".") or entry.suffix not in WANTED:
        return False
    with plain(entry, entry.name) as found, (target / entry.name).open("wb") as copy:
        if entry.suffix == ".json" and os.fstat(found.fileno()).st_size > LARGEST_JSON:
            raise bad_output(f"{entry.name} has more than {LARGEST_JSON >> 20} MiB")
        shutil.copyfileobj(found, copy, 1 << 20)
    return True


def plain(path: Path, name: str) -> IO[bytes]:
    """An open regular file that a foreign trainer left; BAD_OUTPUT for a link, a pipe or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) if not path.is_symlink() else -1
    if descriptor < 0 or not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise bad_output(f"{name} is a link or no regular file: save the model itself there")
    return os.fdopen(descriptor, "rb")


def _complete(run: TrainRun, folder: Path) -> None:
    """The tokenizer of the base model serves where the trainer left none."""
    if not (folder / "tokenizer.json").exists():
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            if (run.base_folder / name).is_file():
                shutil.copyfile(run.base_folder / name, folder / name)


def _check_labels(run: TrainRun, folder: Path, left_out: list[str]) -> None:
    if not any(folder.glob("*.safetensors")):
        others = f" (there are: {', '.join(left_out[:NAMED])})" if left_out else ""
        raise bad_output(
            f"there are no *.safetensors{others}: end with trainer.save_model(os.environ['MODELYARD_OUTPUT'])"
        )
    labels = labels_of(run.rows["train"])
    found = _labels_in(folder / "config.json")
    if labels and found not in (labels, [f"LABEL_{number}" for number in range(len(labels))]):
        raise bad_output(
            f"config.json has the classes {found[:NAMED]} in id2label, the rows have {labels[:NAMED]}: give the model "
            "the classes of $MODELYARD_DATA/labels.json in that order (id2label, label2id, num_labels)"
        )


def _labels_in(path: Path) -> list[str]:
    try:
        named: dict[str, Any] = json.loads(path.read_text()).get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
        return [str(named[number]) for number in sorted(named, key=int)]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as fault:
        raise bad_output(
            f"config.json cannot be read ({type(fault).__name__}): save the model's settings there"
        ) from fault
