"""A publisher as a process of its own: `python -m tests.storage.uploader URL KEY SECRET BUCKET PREFIX FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from modelyard.storage.publish import publish
from modelyard.storage.store import Store


def main() -> int:
    url, key, secret, bucket, prefix, folder = sys.argv[1:]
    store = Store.connect(url, key, secret, patience=5)
    print("ready", flush=True)
    publish(store, bucket, prefix, Path(folder), "model", {})
    print("published", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
