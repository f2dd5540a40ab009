"""Downloads single objects to files; a stream that breaks is started again."""

from __future__ import annotations

from pathlib import Path

from modelyard.storage.errors import Unavailable
from modelyard.storage.store import Store

ATTEMPTS = 3


def download(store: Store, bucket: str, key: str, path: Path) -> None:
    """Write an object to `path`, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with path.open("wb") as stream:
                stream.writelines(store.chunks(bucket, key))
            return
        except Unavailable:
            if attempt == ATTEMPTS:
                raise
