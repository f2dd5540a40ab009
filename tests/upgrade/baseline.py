"""What was recorded: objects, store and operator of the last release, or of the last reshape of the API before one."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from modelyard.storage.store import Store
from tests.cluster.kubectl import Kubectl
from tests.upgrade import registry
from tests.upgrade.runtime import Ground

BASELINE = Path(__file__).with_name("baseline")
STORE, OPERATOR, DEFINITIONS = BASELINE / "store", BASELINE / "operator.tar.xz", BASELINE / "definitions.yaml"
KINDS = (*(kind.lower() for kind in registry.OURS), *(kind.lower() for kind in registry.BUILT_IN))
CACHE = Path(os.environ.get("MODELYARD_CACHE", Path.home() / ".cache" / "modelyard")) / "baseline"
RECORDED = datetime(2026, 1, 1, tzinfo=UTC)
TIME = re.compile(r"2026-01-01T00:00:00Z")
Manifest = dict[str, Any]


def source() -> Path:
    """Where the baseline's operator lies unpacked; kept by content."""
    packed = OPERATOR.read_bytes()
    target = CACHE / hashlib.sha256(packed).hexdigest()[:16]
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            with tarfile.open(fileobj=io.BytesIO(lzma.decompress(packed))) as tar:
                tar.extractall(Path(scratch) / "operator", filter="data")
            (Path(scratch) / "operator").replace(target) if not target.exists() else None
    return target


def definitions() -> list[Manifest]:
    """The CustomResourceDefinitions that were recorded: what stands there is frozen."""
    return _documents(DEFINITIONS)


@cache
def recorded() -> tuple[str, ...]:
    """Every object as JSON."""
    found = map(_documents, _files())
    return tuple(json.dumps(obj) for documents in found for obj in documents)


def objects(age: timedelta) -> Iterator[Manifest]:
    """The recording as if it had been made so long ago."""
    moment = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    for text in recorded():
        yield json.loads(TIME.sub(moment, text))


def restore(ground: Ground, age: timedelta = timedelta(minutes=1)) -> None:
    """API server and store hold the recording; what is there of an earlier one goes."""
    admin = Kubectl(ground.api.kubeconfig)
    if admin.run("get", "namespace", "team").returncode:
        for name in ("ops", "team"):
            admin.ok("create", "namespace", name)
        fill(Store.connect(ground.minio.url, ground.minio.access_key, ground.minio.secret_key))
    for path in registry.FOLDERS:
        registry.remove(ground.api.etcd_url, path)
    for obj in objects(age):
        registry.put(ground.api.etcd_url, obj)


def fill(store: Store) -> None:
    """The buckets as they were."""
    for path in sorted(path for path in STORE.rglob("*") if path.is_file()):
        bucket, _, key = str(path.relative_to(STORE)).partition("/")
        store.ensure_bucket(bucket)
        store.put(bucket, key, path.read_bytes())


def _files() -> list[Path]:
    return [BASELINE / f"{kind}.yaml" for kind in KINDS]


def _documents(path: Path) -> list[Manifest]:
    return [obj for obj in yaml.load_all(path.read_text(), yaml.CSafeLoader) if obj]
