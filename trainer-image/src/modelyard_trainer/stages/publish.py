"""Publishes the finished folder: files first, the manifest last."""

from __future__ import annotations

import logging

from modelyard.storage.publish import publish
from modelyard_trainer.run import Run

log = logging.getLogger(__name__)


def execute(run: Run) -> None:
    """Make the run's target prefix complete; an equal result that is there already is a success."""
    ready = run.publication
    if ready is None:
        raise RuntimeError("no stage left anything to publish")
    run.stop.graceful = True  # an upload that has begun is worth the grace period
    manifest, run.digest = publish(
        run.store, run.bucket, ready.prefix, ready.folder, ready.kind, ready.info, run.config.epoch
    )
    log.info("published %d files, %d bytes, %s", len(manifest.files), manifest.size, run.digest)
