"""Install what the demo stands on: MinIO with two keys, base model and data in it, the chart, the user's Secret."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minio import Minio, MinioAdmin
from minio.credentials import StaticProvider

from dev.localcluster import layout
from examples.demo import data
from examples.demo.cluster import Cluster

STORE_NAMESPACE = "minio"
OPERATOR_NAMESPACE = "modelyard"
BUCKET = "modelyard"
WHOLE = 512 * 1024 * 1024
"""One part per upload, so that the etag is the md5."""
HERE = Path(__file__).parent
KEYS = {"operator": "readwrite", "serving": "readonly"}
"""Key name -> policy: who may do what with the store."""


def install_store(cluster: Cluster, image: str) -> None:
    """MinIO as a pod, with its root key in a Secret that stays the same when run again."""
    cluster.ensure_namespace(STORE_NAMESPACE)
    if cluster.get("secret", "minio-root", STORE_NAMESPACE) is None:
        literals = {"MINIO_ROOT_USER": "root", "MINIO_ROOT_PASSWORD": secrets.token_hex(16)}
        for name in KEYS:
            literals[name] = secrets.token_hex(16)
        make_secret(cluster, STORE_NAMESPACE, "minio-root", literals)
    manifest = (HERE / "minio.yaml").read_text().replace("MINIO_IMAGE", image).replace("MINIO_VOLUME", _volume(cluster))
    cluster.kube("apply", "-n", STORE_NAMESPACE, "-f", "-", stdin=manifest)
    cluster.wait("deployment/minio", "condition=Available", STORE_NAMESPACE)


def _volume(cluster: Cluster) -> str:
    """In the embedded cluster's own folder, so that it goes with the cluster; elsewhere it goes with the pod."""
    if not cluster.embedded:
        return "emptyDir: {}"
    return f"hostPath: {{path: {layout.state('minio')}, type: DirectoryOrCreate}}"


def store_keys(cluster: Cluster) -> dict[str, str]:
    """Passwords of the store's users."""
    import base64

    found = cluster.get("secret", "minio-root", STORE_NAMESPACE) or {"data": {}}
    return {name: base64.b64decode(value).decode() for name, value in found["data"].items()}


@contextmanager
def store_client(cluster: Cluster) -> Iterator[tuple[Minio, MinioAdmin]]:
    """S3 and admin clients with the root key, through a port-forward."""
    keys = store_keys(cluster)
    root, password = keys["MINIO_ROOT_USER"], keys["MINIO_ROOT_PASSWORD"]
    with cluster.forward("service/minio", 9000, STORE_NAMESPACE) as url:
        endpoint = url.removeprefix("http://")
        client = Minio(endpoint=endpoint, access_key=root, secret_key=password, secure=False, region="us-east-1")
        yield client, MinioAdmin(endpoint=endpoint, credentials=StaticProvider(root, password), secure=False)


def make_buckets_and_users(cluster: Cluster) -> None:
    """Three buckets, and a user for each kind of access; what is there already is left."""
    keys = store_keys(cluster)
    with store_client(cluster) as (client, admin):
        for bucket in (BUCKET, "base", "data"):
            if not client.bucket_exists(bucket_name=bucket):
                client.make_bucket(bucket_name=bucket)
        for user, policy in KEYS.items():
            admin.user_add(access_key=user, secret_key=keys[user])
            admin.policy_set(policy_name=policy, user=user)


def fill_store(cluster: Cluster, rows: int) -> None:
    """The base model and the data."""
    make_buckets_and_users(cluster)
    with store_client(cluster) as (client, _):
        for name, content in data.minilm().items():
            put(client, "base", f"minilm/{name}", content)
        put(client, "data", "sentiment/rows.jsonl", data.tweets(rows))


def put(client: Minio, bucket: str, key: str, content: bytes) -> None:
    """Upload unless the very object is there (a small one's etag is its md5)."""
    try:
        there = client.stat_object(bucket_name=bucket, object_name=key)
        if there.etag == hashlib.md5(content, usedforsecurity=False).hexdigest():
            return
    except Exception as fault:
        if getattr(fault, "code", "") != "NoSuchKey":
            raise
    client.put_object(
        bucket_name=bucket,
        object_name=key,
        data=io.BytesIO(content),
        length=len(content),
        part_size=WHOLE,
    )


def install_chart(cluster: Cluster, images: dict[str, str], endpoint: str, **more: str) -> None:
    """Helm upgrade --install --wait: when it returns, the operator works; `more` are values below `store`."""
    cluster.ensure_namespace(OPERATOR_NAMESPACE, restricted=True)
    make_secret(cluster, OPERATOR_NAMESPACE, "modelyard-operator-store", key_of(cluster, "operator"))
    values = {
        "store.endpoint": endpoint,
        "store.bucket": BUCKET,
        "store.existingSecret": "modelyard-operator-store",
        **{f"store.{name}": value for name, value in more.items()},
    }
    for name in ("operator", "trainer", "server"):
        repository, _, tag = images[name].rpartition(":")
        values |= {f"image.{name}.repository": repository, f"image.{name}.tag": tag}
    sets = [word for name, value in values.items() for word in ("--set-string", f"{name}={value}")]
    # Helm brings definitions only to a cluster that has none.
    cluster.kube("apply", "--server-side", "--force-conflicts", "-f", "charts/modelyard/crds")
    words = ["upgrade", "--install", "modelyard", "charts/modelyard", "-n", OPERATOR_NAMESPACE]
    cluster.helm_run(*words, "--wait", "--timeout", "3m", *sets)


def prepare_namespace(cluster: Cluster, namespace: str) -> None:
    """A team's namespace with the Secret that servers need."""
    cluster.ensure_namespace(namespace, restricted=True)
    cluster.wait("serviceaccount/default", "create", namespace)  # no pod is made before it
    make_secret(cluster, namespace, "modelyard-store-read", key_of(cluster, "serving"))


def key_of(cluster: Cluster, user: str) -> dict[str, str]:
    """A store key as the variables that every S3 client knows."""
    return {"AWS_ACCESS_KEY_ID": user, "AWS_SECRET_ACCESS_KEY": store_keys(cluster)[user]}


def make_secret(cluster: Cluster, namespace: str, name: str, values: dict[str, str]) -> None:
    """What `kubectl create secret generic` does, safe to run again."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": values,
        }
    )
