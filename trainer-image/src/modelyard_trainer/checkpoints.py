"""Checkpoints in the store: uploaded in the background, complete once their manifest is there, the newest few kept."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple

from modelyard.api import layout
from modelyard.storage.errors import Corrupt, StoreError
from modelyard.storage.fetch import fetch_verified
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from modelyard_trainer.safe import check_tensors

log = logging.getLogger(__name__)
SUFFIXES = (".safetensors", ".json", ".txt", ".md", ".pt", ".pth")
"""The .pt and .pth files are loaded as plain tensors only, and come from the run's own prefix."""
UNWANTED = ("training_args.bin",)
STATE = "trainer_state.json"
LOWERED = "lowered.json"
"""Beside it, where the run diverged at first: how its rate was lowered."""


class Found(NamedTuple):
    """A checkpoint on disk."""

    folder: Path
    step: int


class Saved(NamedTuple):
    """A checkpoint in the store, of this start of the run or of an earlier one."""

    step: int
    prefix: str


class Place(NamedTuple):
    """Where a run's checkpoints lie, and the epoch of those that are written now."""

    store: Store
    bucket: str
    run: str
    epoch: str = ""

    def prefix(self, step: int) -> str:
        """Prefix of one checkpoint that is written now."""
        return layout.checkpoint_prefix(self.run, step, self.epoch)

    def saved(self) -> tuple[list[Saved], list[Saved]]:
        """Complete and incomplete checkpoints of every epoch, newest first."""
        root = layout.checkpoints_prefix(self.run)
        names = [entry.key.removeprefix(root).partition("/") for entry in self.store.list(self.bucket, root)]
        every = {head for head, _, _ in names if head[:10].isdigit()}
        complete = {head for head, _, tail in names if tail == layout.MANIFEST} & every
        found = [[Saved(int(head[:10]), f"{root}{head}/") for head in heads] for heads in (complete, every - complete)]
        return sorted(found[0], reverse=True), sorted(found[1], reverse=True)

    def steps(self) -> tuple[list[int], list[int]]:
        """Steps of complete and of incomplete checkpoints, newest first."""
        complete, incomplete = self.saved()
        return [saved.step for saved in complete], [saved.step for saved in incomplete]

    def remove(self, saved: Saved) -> None:
        """Delete one checkpoint."""
        self.store.delete_prefix(self.bucket, saved.prefix)


def newest(place: Place, work: Path) -> Found | None:
    """The newest complete checkpoint whose every byte is as published; a corrupt one is removed and passed over."""
    complete, _ = place.saved()
    for saved in complete:
        step = saved.step
        folder = work / f"checkpoint-{step}"
        try:
            fetch_verified(place.store, place.bucket, saved.prefix, folder, allowed=SUFFIXES)
            _check_state(folder, step)
            check_tensors(folder)
            return Found(folder, step)
        except Corrupt as fault:
            log.warning("checkpoint of step %d is not used: %s", step, fault.message)
            shutil.rmtree(folder, ignore_errors=True)
            place.remove(saved)
    return None


def lowered_before(found: Found | None) -> dict[str, Any] | None:
    """How the run that a checkpoint is of lowered its rate, None if it did not."""
    path = found and found.folder / LOWERED
    return dict(json.loads(path.read_text())) if path and path.exists() else None


def _check_state(folder: Path, step: int) -> None:
    try:
        found = json.loads((folder / STATE).read_text())["global_step"]
    except (OSError, ValueError, KeyError) as fault:
        raise Corrupt(f"{STATE} cannot be read ({fault})") from fault
    if found != step:
        raise Corrupt(f"{STATE} is of step {found}, not {step}")


class Keeper:
    """Uploads one checkpoint at a time and prunes older ones; a fault of the store costs a checkpoint, not the run."""

    def __init__(self, place: Place, keep: int) -> None:
        self._place = place
        self._keep = keep
        self._thread: threading.Thread | None = None
        self.saved = 0

    @property
    def busy(self) -> bool:
        """True while an upload is under way."""
        return self._thread is not None and self._thread.is_alive()

    def submit(self, folder: Path, step: int) -> None:
        """Publish a folder that nobody writes to any more, then remove it from the disk."""
        self.wait()
        self._thread = threading.Thread(target=self._save, args=(folder, step), name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the upload under way."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _save(self, folder: Path, step: int) -> None:
        try:
            for name in UNWANTED:
                (folder / name).unlink(missing_ok=True)
            place = self._place
            info = {"step": step}
            publish(place.store, place.bucket, place.prefix(step), folder, "checkpoint", info, place.epoch)
            self.saved += 1
            log.info("checkpoint of step %d is complete", step)
            self._prune()
        except StoreError as fault:
            log.warning("checkpoint of step %d was not saved: %s (training goes on)", step, fault.message)
        except Exception:
            log.exception("checkpoint of step %d was not saved (training goes on)", step)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _prune(self) -> None:
        complete, incomplete = self._place.saved()
        unfinished = [saved for saved in incomplete if saved.step < complete[0].step] if complete else []
        for saved in complete[self._keep :] + unfinished:
            self._place.remove(saved)


def remove_all(place: Place) -> None:
    """Delete every checkpoint of a run that is published."""
    try:
        place.store.delete_prefix(place.bucket, layout.checkpoints_prefix(place.run))
    except StoreError as fault:
        log.warning("checkpoints were not removed: %s", fault.message)
