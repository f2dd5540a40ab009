"""What killed publishers leave: found and removed once nothing can need it any more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from modelyard.api import layout
from modelyard.storage.errors import Denied, Missing, Unavailable
from modelyard.storage.fetch import read_manifest
from modelyard.storage.store import Store

log = logging.getLogger(__name__)


def sweep(store: Store, bucket: str, prefix: str, published: str, epoch: str = "") -> int:
    """Remove checkpoints, uploads under way and files that no manifest names below the `prefix` of what has ended.

    `published` is the part of the prefix that a manifest completes: what that manifest names stays. Without one only
    what bears the `epoch` goes. Gives how many objects and uploads went; Unavailable when the store contradicts itself.

    Whoever does this may be held up at any point while a successor starts the same run anew. So the keys are listed
    before the manifest is looked at, and no others go: those of the successor were not there yet, or no manifest is.
    """
    keys = [entry.key for entry in store.list(bucket, prefix)]
    named = _named(store, bucket, published)
    stays = [key for key in keys if named and key.startswith(named)]
    if layout.manifest_key(published) in keys and not stays:
        raise Unavailable(f"s3://{bucket}/{published} has a manifest, but it was read as another: nothing is swept")
    folders = (published, layout.checkpoints_prefix(prefix))

    def is_ours(key: str) -> bool:
        return layout.is_of_epoch(_folder(key, folders), epoch)

    written = [key for key in keys if _folder(key, folders)]
    gone = [key for key in written if not key.startswith(named)] if named else list(filter(is_ours, written))
    store.delete(bucket, gone)
    return len(gone) + _abort(store, bucket, prefix, is_ours)


def _folder(key: str, prefixes: tuple[str, ...]) -> str:
    """The folder below one of the prefixes that an object lies in; empty for one that lies in none."""
    below = next((key.removeprefix(prefix) for prefix in prefixes if key.startswith(prefix)), "")
    return below.partition("/")[0] if "/" in below else ""


def _abort(store: Store, bucket: str, prefix: str, wanted: Callable[[str], bool]) -> int:
    """A key that may not list uploads leaves them to the store's own expiry; all else was swept."""
    try:
        return store.abort_uploads(bucket, prefix, wanted)
    except Denied as fault:
        log.warning("uploads that were never completed stay: %s", fault.message)
        return 0


def _named(store: Store, bucket: str, published: str) -> str:
    """Start of the keys of what was published; empty where nothing was."""
    try:
        manifest, digest = read_manifest(store, bucket, published)
    except Missing:
        return ""
    return layout.file_key(published, digest, "", manifest.epoch)
