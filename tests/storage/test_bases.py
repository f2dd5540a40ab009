"""A base on a real store: the same content however it was uploaded, read as one object, remembered per namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from minio.credentials import StaticProvider

from dev.known_base import make_known
from dev.localcluster.minio import MinioServer
from modelyard import names
from modelyard.api import layout
from modelyard.api.access import Access, Place
from modelyard.api.base_record import BaseRecord, Listed, listing_digest
from modelyard.api.run import ExitCode, HashConfig, Outcome
from modelyard.api.store import StoreConnection
from modelyard.engine.facts.store import StoreFacts
from modelyard.storage.bases import find_record, hash_base, list_base, write_record
from modelyard.storage.errors import Changed, Corrupt, Denied, Unavailable
from modelyard.storage.fetch import PART, fetch_places
from modelyard.storage.fetch import Place as FetchPlace
from modelyard.storage.store import Store
from modelyard.storage.sts import Sts

WEIGHTS = os.urandom(9 << 20)
FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}


def upload(store: Store, bucket: str, prefix: str, folder: Path, part_size: int) -> str:
    folder.mkdir(exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
        store._client.fput_object(bucket, prefix + name, str(folder / name), part_size=part_size)
    return f"s3://{bucket}/{prefix}"


@pytest.fixture
def uri(store: Store, bucket: str, tmp_path: Path) -> str:
    return upload(store, bucket, "base/", tmp_path / "base", 5 << 20)


def listing(store: Store, uri: str) -> str:
    return listing_digest(uri, list_base(store, uri))


def test_a_mirror_with_other_part_sizes_is_the_same_base(store: Store, bucket: str, uri: str, tmp_path: Path) -> None:
    mirror = upload(store, bucket, "mirror/", tmp_path / "mirror", 8 << 20)
    etags = [{entry.path: entry.etag for entry in list_base(store, place)} for place in (uri, mirror)]
    assert etags[0]["model.safetensors"] != etags[1]["model.safetensors"]
    known = [make_known(store, bucket, "team", place) for place in (uri, mirror)]
    assert known[0].digest == known[1].digest and known[0].listing != known[1].listing
    store.put(bucket, "mirror/README.md", b"not loaded")
    assert listing(store, mirror) == known[1].listing
    store.put(bucket, "mirror/config.json", b"{ }")
    assert make_known(store, bucket, "team", mirror).digest != known[0].digest


def test_the_operator_finds_the_record_of_its_own_namespace_alone(store: Store, bucket: str, uri: str) -> None:
    record = make_known(store, bucket, "team", uri)
    ask = StoreFacts(store, bucket).functions
    found = ask["listing"]({"uri": uri})
    assert found["digest"] == record.listing and len(found["files"]) == 3
    assert ask["base_record"]({"namespace": "team", "listing": record.listing}) == record.digest
    assert ask["base_record"]({"namespace": "other", "listing": record.listing}) is None


def test_a_record_that_lies_or_is_none_is_not_believed(store: Store, bucket: str, uri: str) -> None:
    record = make_known(store, bucket, "team", uri)
    key = layout.base_record_key("team", record.listing)
    forged = record.model_copy(update={"files": record.files[:-1]})
    for data in (forged.model_dump_json(by_alias=True).encode(), b"[]", b"\xff", b""):
        store.put(bucket, key, data)
        assert find_record(store, bucket, "team", record.listing) is None
    write_record(store, bucket, key, record)
    assert find_record(store, bucket, "team", record.listing) == record


def test_what_changes_while_it_is_read_is_noticed(store: Store, bucket: str, uri: str) -> None:
    entries = list_base(store, uri)
    store.put(bucket, "base/config.json", b"[]")
    with pytest.raises(Changed, match=r"base/config\.json is another object"):
        hash_base(store, uri, entries)
    chunks = store.chunks(bucket, "base/model.safetensors", etag="0" * 32, offset=5, length=10)
    with pytest.raises(Changed):
        next(chunks)


@pytest.mark.parametrize("part", [PART, 1 << 20])
def test_a_fetch_gets_the_very_objects(
    store: Store, bucket: str, uri: str, tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.storage.fetch.PART", part)
    record, target = make_known(store, bucket, "team", uri), tmp_path / "fetched"
    places = [FetchPlace(f"base/{f.path}", target / f.path, f.entry, f.etag) for f in record.files]
    fetch_places(store, bucket, places)
    assert (target / "model.safetensors").read_bytes() == WEIGHTS
    store.put(bucket, "base/model.safetensors", WEIGHTS[:-1] + b"x")
    with pytest.raises(Corrupt, match=r"model\.safetensors is another object"):
        fetch_places(store, bucket, places)


class Pod:
    """The command of the pod that reads a base."""

    def __init__(self, minio: MinioServer, bucket: str, uri: str, listing: str, folder: Path) -> None:
        self.folder, self.record = folder, layout.base_record_key("team", listing)
        config = HashConfig(
            name="job", uri=uri, listing=listing, record=self.record, store={"endpoint": minio.url, "bucket": bucket}
        )
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(config.dump()))
        self._keys = {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key}

    def run(self) -> tuple[int, Outcome]:
        paths = {"MODELYARD_CONFIG": "run.json", "MODELYARD_TERMINATION": "termination"}
        environment = {name: str(self.folder / path) for name, path in paths.items()}
        environment |= {"MODELYARD_WORK": "/nonexistent", "MODELYARD_STORE_PATIENCE": "1", **self._keys}
        command = [sys.executable, "-m", "modelyard_trainer"]
        done = subprocess.run(command, env={**os.environ, **environment}, timeout=60, check=False)
        return done.returncode, Outcome.model_validate_json((self.folder / "termination").read_bytes())


def test_the_pod_leaves_the_record_and_nothing_else(
    minio: MinioServer, store: Store, bucket: str, uri: str, tmp_path: Path
) -> None:
    before = {entry.key for entry in store.list(bucket, "")}
    pod = Pod(minio, bucket, uri, listing(store, uri), tmp_path / "pod")
    code, outcome = pod.run()
    assert (code, outcome.outcome) == (ExitCode.PUBLISHED, "published")
    record = BaseRecord.model_validate_json(store.get(bucket, pod.record))
    assert {entry.key for entry in store.list(bucket, "")} - before == {pod.record}
    assert outcome.digest == record.digest == hash_base(store, uri, list_base(store, uri)).digest
    store.delete(bucket, ["base/model.safetensors"])  # known: it is not read again
    assert pod.run()[0] == ExitCode.PUBLISHED


def gone(store: Store, bucket: str) -> None:
    store.delete_prefix(bucket, "base/")


def changed(store: Store, bucket: str) -> None:
    store.put(bucket, "base/config.json", b"[]")


def pickled(store: Store, bucket: str) -> None:
    store.delete(bucket, ["base/model.safetensors"])
    store.put(bucket, "base/pytorch_model.bin", b"x")


HARMS = [(gone, names.BASE_NOT_FOUND), (changed, names.BASE_CHANGED), (pickled, names.BASE_UNSAFE)]


@pytest.mark.parametrize(("harm", "reason"), HARMS)
def test_the_pod_says_why_not(  # type: ignore[no-untyped-def]
    minio: MinioServer, store: Store, bucket: str, uri: str, tmp_path: Path, harm, reason: str
) -> None:
    pod = Pod(minio, bucket, uri, listing(store, uri), tmp_path / "pod")
    harm(store, bucket)
    code, outcome = pod.run()
    assert (code, outcome.reason) == (ExitCode.BASE_INVALID, reason) and "spec.from.base" in outcome.message
    assert store.stat(bucket, pod.record) is None


def test_its_keys_write_one_record_and_read_one_base(minio: MinioServer, store: Store, bucket: str, uri: str) -> None:
    theirs = make_known(store, bucket, "other", uri)
    own, foreign = (layout.base_record_key(namespace, theirs.listing) for namespace in ("team", "other"))
    sts = Sts(StoreConnection(endpoint=minio.url), minio.access_key, minio.secret_key)
    keys = sts.keys(Access((Place(bucket, own),), (Place(bucket, "base/"),)), "pod")
    limited = Store.with_provider(minio.url, StaticProvider(keys.access_key, keys.secret_key, keys.session_token))
    write_record(limited, bucket, own, hash_base(limited, uri, list_base(limited, uri)))
    for key in (foreign, f"{own}x", layout.base_record_key("team", "sha256:" + "0" * 64), "base/config.json"):
        with pytest.raises((Denied, Unavailable)):
            limited.put(bucket, key, b"{}")
    with pytest.raises((Denied, Unavailable)):
        limited.get(bucket, foreign)
    for prefix in ("", "ns/", "ns/team/bases/"):
        with pytest.raises(Denied):
            limited.list(bucket, prefix)


def test_files_are_listed_by_their_path_below_the_folder(store: Store, bucket: str, uri: str) -> None:
    assert [entry[:2] for entry in list_base(store, uri)] == [
        ("config.json", 2), ("model.safetensors", len(WEIGHTS)), ("tokenizer.json", 2)
    ]  # fmt: skip
    assert all(isinstance(entry, Listed) and entry.etag for entry in list_base(store, uri))
