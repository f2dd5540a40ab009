"""What the pods of one run may read and write in the store, from what the operator itself wrote into the status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelyard import names
from modelyard.api import layout
from modelyard.api.dataset import DatasetStatus, S3Source
from modelyard.api.finetunejob import BaseListing, FineTuneJobStatus

PATTERN_CHARACTERS = "*?$\\"
"""Characters that mean more than themselves in a policy."""


class AccessError(Exception):
    """No access can be given; the message names the cause."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a bucket (the key ends in '/'), a whole bucket (no key), or one object."""

    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        """True when everything below the key is meant."""
        return not self.key or self.key.endswith("/")


@dataclass(frozen=True, slots=True)
class Access:
    """Folders that may be read and written, and places that may be read."""

    write: tuple[Place, ...]
    read: tuple[Place, ...] = ()


def access_of(owner: dict[str, Any], run: str, bucket: str) -> Access:
    """Access for the pods of a run (or preparation) that is under way; AccessError for any other."""
    try:
        found = _ACCESS[owner["kind"]](owner, run, bucket)
    except ValidationError as fault:
        raise AccessError(f"the status of {owner['kind']} cannot be read ({fault.error_count()} errors)") from fault
    for place in (*found.write, *found.read):
        _check(owner["metadata"]["namespace"], bucket, place)
    return found


def _of_finetunejob(owner: dict[str, Any], run: str, bucket: str) -> Access:
    """Its own prefix; the rows that it is pinned to, and the base model with its record, or the version."""
    status = FineTuneJobStatus.model_validate(owner.get("status", {}))
    namespace, now = owner["metadata"]["namespace"], status.run
    if status.base is not None and run == names.hash_job(status.base.listing):
        return _of_hashing(namespace, status.base, bucket)
    if now is None or now.id != run or now.state != "Running" or now.pinned is None:
        raise AccessError(f"run {run} is not the one under way")
    own, base = layout.run_prefix(namespace, now.model, now.id), now.pinned.base
    rows = Place(bucket, now.pinned.dataset.prefix)
    if base is None:
        return Access((Place(bucket, own),), (rows,))
    record = () if base.version else (Place(bucket, layout.base_record_key(namespace, base.listing)),)
    return Access((Place(bucket, own),), (rows, _folder(base.uri), *record))


def _of_hashing(namespace: str, base: BaseListing, bucket: str) -> Access:
    """The one record, and the base model."""
    return Access((Place(bucket, layout.base_record_key(namespace, base.listing)),), (_folder(base.uri),))


def _folder(uri: str) -> Place:
    return Place(*layout.split_uri(layout.folder_uri(uri)))


def _of_dataset(owner: dict[str, Any], run: str, bucket: str) -> Access:
    """Its own prefix; the source, when it lies in the installation's store and has no key of its own."""
    now = DatasetStatus.model_validate(owner.get("status", {}))
    if now.prepare_id != run or not now.prefix or now.digest or now.failure:
        raise AccessError(f"preparation {run} is not the one under way")
    source = owner["spec"].get("source", {}).get("s3")
    read: tuple[Place, ...] = ()
    if source is not None and not source.get("secret") and not source.get("endpoint"):
        read = (Place(*layout.split_uri(S3Source.model_validate(source).uri)),)
    return Access((Place(bucket, now.prefix),), read)


_ACCESS = {"FineTuneJob": _of_finetunejob, "Dataset": _of_dataset}


def _check(namespace: str, bucket: str, place: Place) -> None:
    uri = f"s3://{place.bucket}/{place.key}"
    if set(place.key) & set(PATTERN_CHARACTERS):
        raise AccessError(f"{uri} has a character that no store policy can name ({' '.join(PATTERN_CHARACTERS)})")
    if layout.is_foreign(namespace, bucket, uri):
        raise AccessError(f"{uri} belongs to another namespace")
