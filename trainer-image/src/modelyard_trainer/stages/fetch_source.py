"""Brings the user's rows onto the disk."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from modelyard.api import layout
from modelyard.api.dataset import S3Source
from modelyard.api.run import ExitCode
from modelyard.api.store import StoreConnection
from modelyard.storage.errors import Denied, Misconfigured, Missing, StoreError, Unavailable
from modelyard.storage.route import INSTALLATION
from modelyard.storage.store import Store
from modelyard_trainer.downloads import download
from modelyard_trainer.errors import TrainerError, bad_config, from_store
from modelyard_trainer.run import PrepareRun

log = logging.getLogger(__name__)
PATIENCE = 60.0
"""Seconds that a source with an endpoint of its own is asked again; the artifact store gets longer."""
THREADS = 8
"""Objects that are on their way at once: pictures are many and small."""
OWN_KEY = "SOURCE_AWS_"
FIELDS = "spec.source.s3."


def execute(run: PrepareRun) -> None:
    """Download the object, or all objects below the prefix, in the order of their keys."""
    source = run.config.source.s3
    if source is None:
        return
    try:
        _download(run, source)
    except StoreError as fault:
        raise _explained(source, fault) from fault


def _download(run: PrepareRun, source: S3Source) -> None:
    store = _store(run, source)
    bucket, key = layout.split_uri(source.uri)
    folder = run.folder("source")
    keys = _keys(store, source, bucket, key)
    paths = [folder / f"{index:06d}" / PurePosixPath(found).name for index, found in enumerate(keys)]
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="fetch") as pool:
        try:
            for done in [pool.submit(download, store, bucket, *one) for one in zip(keys, paths, strict=True)]:
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    run.files = {found.removeprefix(key) or path.name: path for found, path in zip(keys, paths, strict=True)}
    log.info("fetched %d objects of %s", len(run.files), source.uri)


def _keys(store: Store, source: S3Source, bucket: str, key: str) -> list[str]:
    if key and not key.endswith("/"):
        return [key]
    names = (entry.key for entry in store.list(bucket, key))
    files = sorted(name for name in names if not name.endswith("/"))
    keys = [name for name in files if not _is_side_file(PurePosixPath(name).name)]
    if len(keys) < len(files):
        log.info("passed over %d files that hold no rows", len(files) - len(keys))
    if not keys:
        raise Missing(f"there are no objects below {source.uri}")
    return keys


def _is_side_file(name: str) -> bool:
    """What tools leave beside data: hidden files, checksums, markers such as _SUCCESS, a README."""
    return name[0] in "._" or name.lower().endswith((".crc", ".md", ".sha256")) or name.upper().startswith("README")


def _store(run: PrepareRun, source: S3Source) -> Store:
    own = bool(os.environ.get(f"{OWN_KEY}ACCESS_KEY_ID"))
    if source.secret and not own:
        raise bad_config(f"Secret '{source.secret}' (spec.source.s3.secret) has no AWS_ACCESS_KEY_ID: add it")
    if source.endpoint is None and not own:
        return run.store
    patience = PATIENCE if source.endpoint else 180.0
    patience = float(os.environ.get("MODELYARD_STORE_PATIENCE", patience))
    where, fields = connection(source, run.config.store), FIELDS if source.endpoint else INSTALLATION
    if not own:  # the run's own keys are no business of another store
        return Store.with_provider(where, None, fields=fields, patience=patience)
    return Store.from_environment(where, prefix=OWN_KEY, fields=fields, patience=patience)


def connection(source: S3Source, installation: StoreConnection) -> StoreConnection:
    """How the source is reached: as the installation's store, or by settings of its own alone."""
    if source.endpoint is None:
        return installation
    return StoreConnection(
        endpoint=source.endpoint,
        region=source.region or installation.region,
        addressing=source.addressing,
        ca_bundle=source.ca_bundle,
        proxy=source.proxy,
    )


def _explained(source: S3Source, fault: StoreError) -> TrainerError:
    where = f" and spec.source.s3.endpoint ({source.endpoint})" if source.endpoint else ""
    if isinstance(fault, Missing):
        remedy = f"check spec.source.s3.uri{where}; a prefix must end in '/'"
        return TrainerError(ExitCode.SOURCE_NOT_FOUND, f"{fault.message}: {remedy}")
    if isinstance(fault, Misconfigured):
        return TrainerError(ExitCode.STORE_DENIED, fault.message, fault.reason)
    if isinstance(fault, Denied):
        key = f"the key in {source.secret}" if source.secret else "the run (it has no key of its own for this source)"
        message = f"{fault.message}: {key} may not read {source.uri}: check spec.source.s3.secret"
        return TrainerError(ExitCode.STORE_DENIED, message)
    if isinstance(fault, Unavailable) and source.endpoint:
        known = FIELDS in fault.message
        message = fault.message if known else f"{fault.message}: check {FIELDS}endpoint"
        return TrainerError(ExitCode.STORE_UNAVAILABLE, message)
    return from_store(fault)
