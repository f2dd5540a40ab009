"""make record-baseline: plays the scene with the operator of this checkout and keeps what API server and store hold.

The output is the same for the same code: names, uids, times, addresses and versions are made stable, so that a change
of the recording is read as a small diff. Beside it the operator that made it is kept, packed, and its definitions.
These are frozen: nothing is recorded while they would break what the last recording holds.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import shutil
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dev.known_base import make_known
from modelyard.api.compatible import all_breaks
from modelyard.storage.store import Store
from tests.cluster.kubectl import Kubectl
from tests.upgrade.baseline import BASELINE, DEFINITIONS, KINDS, OPERATOR, STORE, definitions
from tests.upgrade.ground import standing
from tests.upgrade.runtime import HEAD, crds_of, operator
from tests.upgrade.scene import BUCKET, FILES, TEAM, Scene, play

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
RECORDED_AT = "2026-01-01T00:00:00Z"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
NO_PEM = "-----BEGIN CERTIFICATE-----\nrecorded\n-----END CERTIFICATE-----"
Manifest = dict[str, Any]


def main() -> None:
    """Record anew, unless definitions that were recorded would be broken."""
    made = crds_of(HEAD)
    if told := refusal(definitions(), list(yaml.safe_load_all(made))):
        sys.exit(told)
    with tempfile.TemporaryDirectory() as scratch, standing() as ground:
        folder = Path(scratch)
        store = Store.connect(ground.minio.url, ground.minio.access_key, ground.minio.secret_key)
        admin = Kubectl(ground.api.kubeconfig)
        prepare(admin, store)
        with operator(ground, HEAD, folder / "log") as process:
            process.until("the profile", lambda: not admin.run("get", "tprof", "default").returncode)
            (folder / "published").mkdir()
            play(Scene(admin, store, process, folder / "published"))
            process.settle()
        shutil.rmtree(BASELINE, ignore_errors=True)
        BASELINE.mkdir(parents=True)
        write_objects(list(stable(objects(admin))))
        write_store(store)
    write_operator()
    DEFINITIONS.write_text(made)
    print(f"recorded in {BASELINE}: {sum(f.stat().st_size for f in BASELINE.rglob('*') if f.is_file()) >> 10} KiB")


def refusal(recorded: list[Manifest], made: list[Manifest]) -> str:
    """Why these definitions may not take the place of the recorded ones; empty if they may."""
    found = all_breaks(recorded, made)
    head = "nothing is recorded: the definitions are frozen, and these would break objects that are there\n"
    return head + "\n".join(found) if found else ""


def prepare(admin: Kubectl, store: Store) -> None:
    """Namespaces, and a base model."""
    for name in ("ops", TEAM):
        admin.ok("create", "namespace", name)
    admin.ok("-n", TEAM, "create", "serviceaccount", "default")
    for bucket in (BUCKET, "base"):
        store.ensure_bucket(bucket)
    for name, data in FILES.items():
        if name != "model.onnx":
            store.put("base", f"minilm/{name}", data)
    make_known(store, BUCKET, TEAM, "s3://base/minilm/")


def objects(admin: Kubectl) -> Iterator[Manifest]:
    """All that stays, with managed fields, in a fixed order."""
    for kind in KINDS:
        listed = json.loads(admin.ok("get", kind, "-A", "-o", "json", "--show-managed-fields"))["items"]
        mine = [obj for obj in listed if obj["metadata"].get("namespace", TEAM) == TEAM]
        yield from sorted(mine, key=lambda obj: str(obj["metadata"]["name"]))


def stable(found: Iterator[Manifest]) -> Iterator[Manifest]:
    """The same objects with uids by name, one moment for all times, and addresses in order."""
    listed = list(found)
    known = {obj["metadata"]["uid"] for obj in listed}
    # No garbage collector runs here: what an owner left that is gone is not part of the picture.
    listed = [obj for obj in listed if {o["uid"] for o in obj["metadata"].get("ownerReferences", ())} <= known]
    renamed = {obj["metadata"]["uid"]: str(uuid.uuid5(uuid.NAMESPACE_DNS, _title(obj))) for obj in listed}
    addresses = [obj["spec"]["clusterIP"] for obj in listed if obj["kind"] == "Service"]
    renamed |= {address: f"10.0.0.{20 + number}" for number, address in enumerate(addresses)}
    for obj in listed:
        obj["metadata"].pop("resourceVersion")
        text = PEM.sub(NO_PEM.replace("\n", "\\\\n"), TIME.sub(RECORDED_AT, json.dumps(obj)))
        for old, new in renamed.items():
            text = re.sub(rf"\b{re.escape(old)}\b", new, text)
        made = json.loads(text)
        made["metadata"]["managedFields"].sort(key=json.dumps)  # those of one second have no order
        yield made


def write_objects(found: list[Manifest]) -> None:
    """One file for each kind."""
    for kind in KINDS:
        of_kind = [obj for obj in found if obj["kind"].lower() == kind]
        text = "---\n".join(yaml.safe_dump(obj, sort_keys=True, width=160, allow_unicode=True) for obj in of_kind)
        (BASELINE / f"{kind}.yaml").write_text(text)


def write_store(store: Store) -> None:
    """Every object of both buckets as a file."""
    for bucket in (BUCKET, "base"):
        for entry in store.list(bucket, ""):
            target = STORE / bucket / entry.key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(store.get(bucket, entry.key) or b"")


def write_operator() -> None:
    """The package, packed so that equal sources give equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted((HEAD / "modelyard").rglob("*.py")):
            entry = tarfile.TarInfo(str(path.relative_to(HEAD)))
            data = path.read_bytes()
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    OPERATOR.write_bytes(lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def _title(obj: Manifest) -> str:
    return f"{obj['kind']}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


if __name__ == "__main__":
    main()
