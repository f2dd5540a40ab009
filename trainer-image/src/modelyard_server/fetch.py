"""Fetch a version before it is served: every file hashed, the manifest last, so that half a fetch is never served."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from modelyard.api import layout
from modelyard.api.run import Manifest, digest_of
from modelyard.api.store import StoreConnection
from modelyard.storage.errors import Corrupt
from modelyard.storage.fetch import fetch_verified, read_manifest
from modelyard.storage.store import Store
from modelyard_server.files import check_served, is_served

URI = re.compile(
    r"modelyard://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})"
)
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Version:
    """Where a version lies (prefix ends in '/') and the digest of its manifest."""

    bucket: str
    prefix: str
    digest: str


def fetch(uri: str, target: Path) -> Manifest:
    """Bring the served files of a version into `target`; raises StoreError, or ValueError for a wrong argument."""
    version = parse(uri)
    check_namespace(version.prefix, os.environ.get("MODELYARD_NAMESPACE", ""))
    store, started = connect(), time.monotonic()
    (target / layout.MANIFEST).unlink(missing_ok=True)
    check_served(read_manifest(store, version.bucket, version.prefix, version.digest)[0])
    manifest = fetch_verified(store, version.bucket, version.prefix, target, version.digest, wanted=is_served)
    _complete(store, version, target)
    _report(manifest, time.monotonic() - started)
    return manifest


def parse(uri: str) -> Version:
    """The parts of a modelyard:// URI; ValueError if it is none."""
    match = URI.fullmatch(uri)
    if match is None:
        raise ValueError(f"not a version: {uri!r}; expected modelyard://<bucket>/<prefix>@sha256:<manifest digest>")
    prefix = layout.folder_uri(match["prefix"])
    if any(part in ("", ".", "..") for part in prefix[:-1].split("/")):
        raise ValueError(f"the prefix of {uri!r} has an empty part, '.' or '..'")
    return Version(match["bucket"], prefix, match["digest"])


def check_namespace(prefix: str, namespace: str) -> None:
    """ValueError if the prefix belongs to another namespace than this pod's, or nobody says which that is."""
    if not namespace:
        raise ValueError("MODELYARD_NAMESPACE must name this pod's namespace: only its own versions are served here")
    if not prefix.startswith(f"ns/{namespace}/"):
        raise ValueError(
            f"the prefix {prefix!r} is outside this namespace: only versions below 'ns/{namespace}/' are served here"
        )


def connect() -> Store:
    """The store that the environment names; ValueError without an endpoint, Denied without a key."""
    where = StoreConnection.read(os.environ)
    endpoint = where.get("endpoint", "")
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"MODELYARD_STORE_ENDPOINT must be an http:// or https:// address, not {endpoint!r}")
    return Store.from_environment(
        StoreConnection.model_validate(where),
        patience=float(os.environ.get("MODELYARD_STORE_PATIENCE") or PATIENCE),
    )


def _complete(store: Store, version: Version, target: Path) -> None:
    data = store.get(version.bucket, layout.manifest_key(version.prefix))
    if digest_of(data) != version.digest:
        raise Corrupt(f"the manifest of s3://{version.bucket}/{version.prefix} changed during the fetch")
    half = target / f".{layout.MANIFEST}"
    half.write_bytes(data)
    half.replace(target / layout.MANIFEST)


def _report(manifest: Manifest, seconds: float) -> None:
    served = [entry for entry in manifest.files if is_served(entry)]
    left = [f"{entry.path} ({entry.size} bytes)" for entry in manifest.files if not is_served(entry)]
    size = sum(entry.size for entry in served)
    print(f"fetched and verified {len(served)} files, {size} bytes, in {seconds:.1f} s", flush=True)
    if left:
        print(f"left in the store, as the ONNX model is served: {', '.join(left)}", flush=True)
