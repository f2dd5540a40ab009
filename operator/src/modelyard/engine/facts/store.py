"""Facts that the artifact store answers; the blocking client runs in a small pool of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from modelyard import names
from modelyard.api import layout
from modelyard.api.base_record import listing_digest
from modelyard.api.run import Manifest
from modelyard.engine.facts import FactError, FactFunction
from modelyard.storage.bases import find_record, list_base
from modelyard.storage.claims import claimant, number_of
from modelyard.storage.errors import Missing
from modelyard.storage.fetch import check_listing, read_manifest
from modelyard.storage.store import Store

T = TypeVar("T")
Args = Mapping[str, str]
MOST_FILES = 10_000
"""Files of a base model at most; a listing without end would fill the operator's memory."""


def in_threads(pool: Executor, functions: Mapping[str, Callable[[Args], Any]]) -> dict[str, FactFunction]:
    """The same functions, awaited: the client blocks."""

    def awaited(function: Callable[[Args], Any]) -> FactFunction:
        async def ask(args: Args) -> Any:
            return await asyncio.get_running_loop().run_in_executor(pool, function, args)

        return ask

    return {name: awaited(function) for name, function in functions.items()}


class StoreFacts:
    """Questions to one store and its bucket."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store, self._bucket = store, bucket

    @property
    def functions(self) -> dict[str, Callable[[Args], Any]]:
        """Name of the fact -> blocking function."""
        return {
            "listing": self._listing,
            "base_record": self._base_record,
            "manifest": self._manifest,
            "verified": self._verified,
            "number": self._number,
            "claimant": self._claimant,
        }

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

    def _number(self, args: Args) -> int | None:
        """Version number that a `run` of a `model` has claimed, None if it has none."""
        return number_of(self._store, self._bucket, args["namespace"], args["model"], args["run"])

    def _claimant(self, args: Args) -> str:
        """Run that claimed a `number`, empty if nobody did."""
        try:
            return claimant(self._store, self._bucket, args["namespace"], args["model"], int(args["number"]))
        except Missing:
            return ""


def _described(manifest: Manifest, digest: str) -> dict[str, Any]:
    return {"manifest": manifest.dump(), "digest": digest, "size": manifest.size}
