"""The pod that learns what a base model is: reads every file that is loaded, and leaves their sums in a record."""

from __future__ import annotations

import logging

from modelyard import names
from modelyard.api import layout
from modelyard.api.base_folder import fault_of
from modelyard.api.base_record import BaseRecord, Listed, listing_digest, loaded
from modelyard.api.run import ExitCode, HashConfig, Outcome
from modelyard.storage.bases import hash_base, list_base, read_record, write_record
from modelyard.storage.errors import Changed, Missing
from modelyard.storage.store import Store
from modelyard_trainer.errors import bad_base
from modelyard_trainer.progress import Progress

log = logging.getLogger(__name__)


def execute(config: HashConfig, store: Store, progress: Progress) -> tuple[ExitCode, Outcome]:
    """Write the record of the listing that the operator saw; TrainerError where the folder is no base, or changed."""
    uri = layout.folder_uri(config.uri)
    known = read_record(store, config.store.bucket, config.record)
    if known is None or known.listing != config.listing:
        known = _hash(config, uri, store, progress)
    log.info("%s is %s", uri, known.digest)
    return ExitCode.PUBLISHED, Outcome(outcome="published", digest=known.digest)


def _hash(config: HashConfig, uri: str, store: Store, progress: Progress) -> BaseRecord:
    entries = _list(config, uri, store)
    progress.update(stage="hash", step=0, steps=len(loaded(entries)))
    try:
        record = hash_base(store, uri, entries, lambda count: progress.update(step=count))
    except (Changed, Missing) as fault:
        raise bad_base(f"spec.from.base: {fault.message}: it changed while it was read", names.BASE_CHANGED) from fault
    write_record(store, config.store.bucket, config.record, record)
    return record


def _list(config: HashConfig, uri: str, store: Store) -> list[Listed]:
    try:
        entries = list_base(store, uri)
    except Missing as fault:
        raise bad_base(f"{fault.message}: check spec.from.base ({uri})", names.BASE_NOT_FOUND) from fault
    if not entries:
        raise bad_base(f"spec.from.base is {uri}, but nothing lies there: check it", names.BASE_NOT_FOUND)
    found = fault_of(uri, [entry.path for entry in entries])
    if found is not None:
        reason, message = found
        raise bad_base(message, reason)
    if listing_digest(uri, entries) != config.listing:
        raise bad_base(f"spec.from.base: the files of {uri} changed before they were read", names.BASE_CHANGED)
    return entries
