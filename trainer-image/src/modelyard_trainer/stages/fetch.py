"""Brings prepared rows and base model onto the disk, both verified."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ValidationError

from modelyard import names
from modelyard.api import layout
from modelyard.api.base_folder import fault_of, is_loaded
from modelyard.api.base_record import BaseRecord, Listed
from modelyard.api.run import (
    BaseModelInput,
    DatasetInfo,
    ExitCode,
    FileEntry,
    Manifest,
    ModelInfo,
    VersionInput,
    format_digest,
)
from modelyard.storage.bases import list_base, read_record
from modelyard.storage.errors import Corrupt, Missing
from modelyard.storage.fetch import Place, fetch_places, fetch_verified
from modelyard_trainer.data.mapped import MappedRows, unpacked
from modelyard_trainer.data.rows import SPLITS, Digest
from modelyard_trainer.data.shards import shards_of
from modelyard_trainer.errors import TrainerError, bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import rows_of

log = logging.getLogger(__name__)
NAMED = 100
"""Files at most that a report names."""


def execute(run: TrainRun) -> None:
    """Leave run.rows and run.base; a foreign trainer's base is fetched once, before it runs."""
    _fetch_rows(run)
    base = run.config.base
    if base is None or run.part == "publish":
        return
    if base.version is None:
        _fetch_base(run, base)
    else:
        _fetch_version(run, base, base.version)


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


def _unpacked(run: TrainRun, manifest: Manifest, folder: Path) -> dict[str, MappedRows]:
    """The rows of each split, mapped into memory; their files are those of the manifest, in order."""
    schema, shards = rows_of(run.config.task).schema(), shards_of(entry.path for entry in manifest.files)
    try:
        return {split: unpacked([folder / name for name in shards[split]], schema) for split in SPLITS}
    except (KeyError, ValueError) as fault:
        raise Corrupt(f"{run.config.dataset.prefix} holds no prepared rows of {run.config.task}: {fault}") from fault


def _fetch_base(run: TrainRun, pin: BaseModelInput) -> None:
    """Each file as one object, of the very bytes that the run was pinned to, whoever put it there again since."""
    uri = layout.folder_uri(pin.uri)
    bucket, prefix = layout.split_uri(uri)
    listed = _list(run, uri)
    record = _record(run, pin)
    run.base = run.base_folder
    left_out = [path for path in sorted(listed) if path not in {file.path for file in record.files}]
    if left_out:
        run.figures["left_out"] = left_out[:NAMED]
        log.info("never fetched, as only *.safetensors and *.json are loaded: %s", ", ".join(left_out[:NAMED]))
    etags = {path: found.etag for path, found in listed.items()}
    places = [Place(prefix + f.path, run.base / f.path, f.entry, etags.get(f.path, f.etag)) for f in record.files]
    try:
        fetch_places(run.store, bucket, places)
    except (Corrupt, Missing) as fault:
        raise _changed(pin, fault.message) from fault
    log.info("fetched %d files of %s", len(places), uri)


def _fetch_version(run: TrainRun, pin: BaseModelInput, version: VersionInput) -> None:
    """Its weights and settings, each byte as its manifest says; leaves run.parent."""
    bucket, prefix = layout.split_uri(pin.uri)
    run.base = run.base_folder
    try:
        manifest = fetch_verified(run.store, bucket, prefix, run.base, version.manifest, _goes_on)
        run.parent = ModelInfo.model_validate(manifest.info)
    except Missing as fault:
        told = f"spec.from.version: the files of {version.name} are gone ({fault.message}): name another version"
        raise bad_base(told, names.BASE_NOT_FOUND) from fault
    except ValidationError as fault:
        raise Corrupt(f"the manifest of {version.name} is of no model: {fault}") from fault
    if (digest := format_digest(manifest.files, "safetensors")) != pin.digest:
        raise Corrupt(f"the files of {version.name} have digest {digest}, the run was pinned to {pin.digest}")
    log.info("goes on from %s: %s of %s", version.name, run.parent.task, ", ".join(run.parent.labels[:10]))


def _goes_on(entry: FileEntry) -> bool:
    return is_loaded(entry.path) and entry.path != layout.REPORT


def _record(run: TrainRun, pin: BaseModelInput) -> BaseRecord:
    """What each file is; it proves itself by its digest."""
    record = read_record(run.store, run.bucket, pin.record)
    if record is None or record.digest != pin.digest:
        found = "is gone" if record is None else f"says {record.digest}"
        raise Corrupt(f"the record of {pin.uri} ({pin.record}) {found}; the run is of {pin.digest}")
    return record


def _list(run: TrainRun, uri: str) -> dict[str, Listed]:
    try:
        files = {entry.path: entry for entry in list_base(run.store, uri)}
    except Missing as fault:
        raise bad_base(f"{fault.message}: check spec.from.base ({uri})", names.BASE_NOT_FOUND) from fault
    if not files:
        raise bad_base(f"spec.from.base is {uri}, but nothing lies there: check it", names.BASE_NOT_FOUND)
    found = fault_of(uri, list(files))
    if found is not None:
        reason, message = found
        raise bad_base(message, reason)
    return files


def _changed(pin: BaseModelInput, told: str) -> TrainerError:
    return bad_base(
        f"the files of {pin.uri} changed since this run was pinned to {pin.digest} ({told}): "
        "raise spec.attempt to start from them as they are now",
        names.BASE_CHANGED,
    )
