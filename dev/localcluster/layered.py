"""Put a layer of files on an image of the local registry without having the image here: only the layer travels."""

import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dev.localcluster.context import FIXED_TIME
from dev.localcluster.layout import REGISTRY
from dev.localcluster.registry import HEALTH_URL, MANIFEST_TYPES

LAYER_TYPES = {
    "application/vnd.oci.image.manifest.v1+json": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.distribution.manifest.v2+json": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}


def add_layer(
    base: str, reference: str, files: Iterable[tuple[Path, str]], entrypoint: Sequence[str] | None = None
) -> None:
    """Make localhost:5000/name:tag from another image of the registry and (file, path in the image) pairs.

    An `entrypoint` takes the place of the other image's, and of its arguments.
    """
    name, tag = _split(reference)
    base_name, base_tag = _split(base)
    layer = _tar(files)
    packed = gzip.compress(layer, mtime=0)
    manifest = json.loads(_call("GET", f"{base_name}/manifests/{base_tag}", headers={"Accept": MANIFEST_TYPES}))
    configuration = json.loads(_call("GET", f"{base_name}/blobs/{manifest['config']['digest']}"))
    for below in manifest["layers"]:
        _call("POST", f"{name}/blobs/uploads/?mount={below['digest']}&from={base_name}", b"")
    if entrypoint is not None:
        configuration["config"] |= {"Entrypoint": list(entrypoint), "Cmd": None}
    configuration["rootfs"]["diff_ids"].append(_digest(layer))
    configuration.setdefault("history", []).append({"created_by": "our code"})
    manifest["layers"].append(_described(packed, LAYER_TYPES[manifest["mediaType"]]))
    content = json.dumps(configuration).encode()
    manifest["config"] |= _described(content, manifest["config"]["mediaType"])
    for blob in (packed, content):
        _upload(name, blob)
    headers = {"Content-Type": manifest["mediaType"]}
    _call("PUT", f"{name}/manifests/{tag}", json.dumps(manifest).encode(), headers)


def _tar(files: Iterable[tuple[Path, str]]) -> bytes:
    """The same bytes for the same files, whoever makes them and when."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file, path in sorted(files, key=lambda pair: pair[1]):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = file.stat().st_size, FIXED_TIME, 0o644
            archive.addfile(entry, io.BytesIO(file.read_bytes()))
    return packed.getvalue()


def _upload(name: str, blob: bytes) -> None:
    request = urllib.request.Request(f"{HEALTH_URL}{name}/blobs/uploads/", method="POST", data=b"")
    with _open(request) as response:
        place = response.headers["Location"]
    place = place if place.startswith("http") else HEALTH_URL.removesuffix("/v2/") + place
    mark = "&" if "?" in place else "?"
    headers = {"Content-Type": "application/octet-stream"}
    with _open(urllib.request.Request(f"{place}{mark}digest={_digest(blob)}", blob, headers, method="PUT")):
        pass


def _call(method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    with _open(urllib.request.Request(HEALTH_URL + path, data, headers or {}, method=method)) as response:
        return bytes(response.read())


def _open(request: urllib.request.Request) -> Any:
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)


def _described(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _split(reference: str) -> tuple[str, str]:
    name, _, tag = reference.removeprefix(f"{REGISTRY}/").rpartition(":")
    return name, tag
