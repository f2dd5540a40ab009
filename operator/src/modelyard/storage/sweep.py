"""What killed publishers leave: found and removed once nothing can need it any more."""

from __future__ import annotations

import logging

from modelyard.api import layout
from modelyard.storage.errors import Denied, Missing, Unavailable
from modelyard.storage.fetch import read_manifest
from modelyard.storage.store import Store

log = logging.getLogger(__name__)


def sweep(store: Store, bucket: str, prefix: str, published: str) -> int:
    """Remove checkpoints, uploads under way and files that no manifest names below the `prefix` of what has ended.

    `published` is the part of the prefix that a manifest completes: what that manifest names stays. Gives how many
    objects and uploads went; Unavailable when the store contradicts itself. Only for a run that succeeded, or of which
    no pod can come any more.
    """
    kept = _kept(store, bucket, published)
    keys = [entry.key for entry in store.list(bucket, published)]
    unnamed = [key for key in keys if not key.startswith(kept)]
    if layout.manifest_key(published) in keys and len(keys) - len(unnamed) < 2:
        raise Unavailable(f"s3://{bucket}/{published} has a manifest, but it was read as another: nothing is swept")
    store.delete(bucket, unnamed)
    checkpoints = store.delete_prefix(bucket, layout.checkpoints_prefix(prefix))
    return len(unnamed) + checkpoints + _abort(store, bucket, prefix)


def _abort(store: Store, bucket: str, prefix: str) -> int:
    """A key that may not list uploads leaves them to the store's own expiry; all else was swept."""
    try:
        return store.abort_uploads(bucket, prefix)
    except Denied as fault:
        log.warning("uploads that were never completed stay: %s", fault.message)
        return 0


def _kept(store: Store, bucket: str, published: str) -> tuple[str, ...]:
    """Starts of the keys that stay; none where nothing was published."""
    try:
        _, digest = read_manifest(store, bucket, published)
    except Missing:
        return ()
    return (layout.manifest_key(published), layout.file_key(published, digest, ""))
