"""A stored version with one byte flipped, and what must come of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from minio import Minio

from examples.demo import install
from examples.demo.cluster import Cluster
from modelyard.api import layout
from tests.e2e.harness import ClusterHarness, Manifest
from tests.served import number_in

FILE = "model.onnx"


@contextmanager
def flipped_byte(cluster: Cluster, version: Manifest) -> Iterator[None]:
    """One byte in the middle of a version's model is another one meanwhile."""
    _, prefix = layout.split_uri(version["spec"]["uri"])
    with install.store_client(cluster) as (client, _):
        objects = client.list_objects(bucket_name=install.BUCKET, prefix=prefix, recursive=True)
        key = next(str(found.object_name) for found in objects if str(found.object_name).endswith(f"/{FILE}"))
        _flip(client, key)
        try:
            yield
        finally:
            _flip(client, key)


def _flip(client: Minio, key: str) -> None:
    data = bytearray(client.get_object(bucket_name=install.BUCKET, object_name=key).read())
    data[len(data) // 2] ^= 1
    client.put_object(bucket_name=install.BUCKET, object_name=key, data=io.BytesIO(bytes(data)), length=len(data))


def never_serves(harness: ClusterHarness, tampered: Manifest) -> None:
    """A ModelDeployment of the changed version names the file and serves nothing."""
    name = tampered["metadata"]["name"]
    harness.apply(tampered)
    assert FILE in harness.wait_reason("modeldeployment", name, "ArtifactsCorrupt", 120)
    assert number_in(harness.get("modeldeployment", name)) is None
    harness.delete("modeldeployment", name)
