"""Brings prepared rows and base model onto the disk, both verified."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from modelyard import names
from modelyard.api import layout
from modelyard.api.base_folder import fault_of
from modelyard.api.run import BaseModelInput, DatasetInfo, ExitCode, Manifest, listing_digest
from modelyard.storage.errors import Corrupt, Missing
from modelyard.storage.fetch import fetch_verified
from modelyard.storage.store import Entry
from modelyard_trainer.data.mapped import unpacked
from modelyard_trainer.data.rows import SPLITS, Digest
from modelyard_trainer.data.shards import shards_of
from modelyard_trainer.downloads import download
from modelyard_trainer.errors import TrainerError, bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import rows_of
from modelyard_trainer.tasks.protocols import Fields

log = logging.getLogger(__name__)
WANTED = (".safetensors", ".json")
NAMED = 100
"""Files at most that a report names."""


def execute(run: TrainRun) -> None:
    """Leave run.rows and run.base; a foreign trainer's base is fetched once, before it runs."""
    _fetch_rows(run)
    if run.config.base is not None and run.part != "publish":
        _fetch_base(run, run.config.base)


def _fetch_rows(run: TrainRun) -> None:
    dataset, folder = run.config.dataset, run.folder("dataset")
    try:
        manifest = fetch_verified(run.store, run.bucket, dataset.prefix, folder)
    except Missing as fault:
        message = f"the prepared rows are gone ({fault.message}): raise spec.revision of the Dataset to prepare again"
        raise TrainerError(ExitCode.SOURCE_NOT_FOUND, message) from fault
    run.prepare = _checked_info(run, manifest).prepare
    run.rows = _unpacked(run, manifest, folder)
    digest = Digest(run.prepare)
    for split, rows in run.rows.items():
        digest.add(split, rows)
    if str(digest) != dataset.digest:
        raise Corrupt(f"the rows of {dataset.prefix} have digest {digest}, the run was pinned to {dataset.digest}")


def _checked_info(run: TrainRun, manifest: Manifest) -> DatasetInfo:
    wanted = run.config.dataset
    try:
        info = DatasetInfo.model_validate(manifest.info)
    except ValidationError as fault:
        raise Corrupt(f"{wanted.prefix} holds no prepared rows: {fault}") from fault
    if info.digest != wanted.digest:
        raise Corrupt(f"{wanted.prefix} holds {info.digest}, the run was pinned to {wanted.digest}")
    return info


def _unpacked(run: TrainRun, manifest: Manifest, folder: Path) -> dict[str, Sequence[Fields]]:
    """The rows of each split, mapped into memory; their files are those of the manifest, in order."""
    schema, shards = rows_of(run.config.task).schema(), shards_of(entry.path for entry in manifest.files)
    try:
        return {split: unpacked([folder / name for name in shards[split]], schema) for split in SPLITS}
    except (KeyError, ValueError) as fault:
        raise Corrupt(f"{run.config.dataset.prefix} holds no prepared rows of {run.config.task}: {fault}") from fault


def _fetch_base(run: TrainRun, pin: BaseModelInput) -> None:
    uri = layout.folder_uri(pin.uri)
    bucket, prefix = layout.split_uri(uri)
    files = _list(run, uri, bucket, prefix)
    _check_digest(pin, uri, prefix, files)
    _check_safe(uri, prefix, files)
    run.base = run.base_folder
    left_out = [name for entry in files if not _is_wanted(name := entry.key.removeprefix(prefix))]
    if left_out:
        run.figures["left_out"] = left_out[:NAMED]
        log.info("never fetched, as only *.safetensors and *.json are loaded: %s", ", ".join(left_out[:NAMED]))
    wanted = [(entry.key, run.base / name) for entry in files if _is_wanted(name := entry.key.removeprefix(prefix))]

    def fetch(job: tuple[str, Path]) -> None:
        download(run.store, bucket, *job)

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(fetch, wanted))
    log.info("fetched %d files of %s", len(wanted), uri)


def _list(run: TrainRun, uri: str, bucket: str, prefix: str) -> list[Entry]:
    try:
        files = run.store.list(bucket, prefix)
    except Missing as fault:
        raise bad_base(f"{fault.message}: check spec.from.base ({uri})", names.BASE_NOT_FOUND) from fault
    if not files:
        raise bad_base(f"spec.from.base is {uri}, but nothing lies there: check it", names.BASE_NOT_FOUND)
    return files


def _check_digest(pin: BaseModelInput, uri: str, prefix: str, files: list[Entry]) -> None:
    found = listing_digest([(entry.key.removeprefix(prefix), entry.size, entry.etag) for entry in files])
    if found != pin.digest:
        raise bad_base(
            f"the files of {uri} changed since this run was pinned to {pin.digest} (now {found}): "
            "raise spec.attempt to start from them as they are now",
            names.BASE_CHANGED,
        )


def _check_safe(uri: str, prefix: str, files: list[Entry]) -> None:
    found = fault_of(uri, [entry.key.removeprefix(prefix) for entry in files])
    if found is not None:
        reason, message = found
        raise bad_base(message, reason)


def _is_wanted(path: str) -> bool:
    """Plain files of the folder itself: weights and settings."""
    return "/" not in path and path.endswith(WANTED) and not path.startswith(".")
