"""Facts that the artifact store answers; the blocking client runs in a small pool of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from modelyard import names
from modelyard.api import layout
from modelyard.api.base_record import listing_digest
from modelyard.api.run import Manifest
from modelyard.engine.facts import FactError, FactFunction
from modelyard.storage.bases import find_record, list_base
from modelyard.storage.claims import claim_number, claimant, spend_number
from modelyard.storage.errors import Missing
from modelyard.storage.fetch import check_listing, read_manifest
from modelyard.storage.store import Store
from modelyard.storage.sweep import sweep

T = TypeVar("T")
Args = Mapping[str, str]
MOST_FILES = 10_000
"""Files of a base model at most; a listing without end would fill the operator's memory."""


class StoreFacts:
    """Questions to one store and its bucket."""

    def __init__(self, store: Store, bucket: str, threads: int = 16) -> None:
        self._store, self._bucket = store, bucket
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="store")

    @property
    def functions(self) -> dict[str, FactFunction]:
        """Name of the fact -> function."""
        return {name: self._in_thread(question) for name, question in self.questions.items()}

    @property
    def questions(self) -> dict[str, Callable[[Args], Any]]:
        """Name of the fact -> blocking function."""
        return {
            "listing": self._listing,
            "base_record": self._base_record,
            "manifest": self._manifest,
            "verified": self._verified,
            "number": self._number,
            "claimant": self._claimant,
            "prefix_deleted": self._prefix_deleted,
            "swept": self._swept,
        }

    def _in_thread(self, function: Callable[[Args], Any]) -> FactFunction:
        async def ask(args: Args) -> Any:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, args)

        return ask

    def _listing(self, args: Args) -> dict[str, Any]:
        """Files of a folder given by `uri`: {"digest", "files": [[relative path, size], ...]}."""
        uri = layout.folder_uri(args["uri"])
        entries = list_base(self._store, uri, MOST_FILES + 1)
        if len(entries) > MOST_FILES:
            raise FactError(names.BASE_INVALID, f"there are more than {MOST_FILES} files: name the model's own folder")
        return {"digest": listing_digest(uri, entries), "files": [[path, size] for path, size, _ in sorted(entries)]}

    def _base_record(self, args: Args) -> str | None:
        """Digest of the content of what was listed, None if the namespace has no record of it."""
        found = find_record(self._store, self._bucket, args["namespace"], args["listing"])
        return None if found is None else found.digest

    def _manifest(self, args: Args) -> dict[str, Any] | None:
        """Manifest of a `prefix`, of the `digest` if one is given; None if nothing is published there."""
        try:
            return _described(*read_manifest(self._store, self._bucket, args["prefix"], args.get("digest")))
        except Missing:
            return None

    def _verified(self, args: Args) -> dict[str, Any]:
        """Manifest of a `prefix` after its digest (if given), list and sizes were checked."""
        manifest, digest = read_manifest(self._store, self._bucket, args["prefix"], args.get("digest") or None)
        check_listing(self._store, self._bucket, args["prefix"], manifest, digest)
        return _described(manifest, digest)

    def _number(self, args: Args) -> int:
        """Version number of a `run` of a `model`, claimed now if it has none."""
        return claim_number(self._store, self._bucket, args["namespace"], args["model"], args["run"])

    def _claimant(self, args: Args) -> str:
        """Run that claimed a `number`, empty if nobody did."""
        try:
            return claimant(self._store, self._bucket, args["namespace"], args["model"], int(args["number"]))
        except Missing:
            return ""

    def _prefix_deleted(self, args: Args) -> bool:
        """True once nothing is left below a `prefix`; the version's `number` is spent before."""
        spend_number(self._store, self._bucket, args["namespace"], args["model"], int(args["number"]))
        self._store.delete_prefix(self._bucket, args["prefix"])
        return True

    def _swept(self, args: Args) -> bool:
        """True once nothing is left below a `prefix` but what the manifest of its part `published` names."""
        sweep(self._store, self._bucket, args["prefix"], args["published"])
        return True


def _described(manifest: Manifest, digest: str) -> dict[str, Any]:
    return {"manifest": manifest.dump(), "digest": digest, "size": manifest.size}
