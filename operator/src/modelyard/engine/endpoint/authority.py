"""The installation's certificate authority: made once, kept in a Secret of the operator's own namespace."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import Protocol

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.endpoint.signing import Pair, new_authority
from modelyard.engine.kube import KubeError

CERTIFICATE, KEY = "ca.crt", "ca.key"


class Secrets(Protocol):
    """What is needed of the API server."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object, None if it is not there."""

    async def create(self, manifest: Manifest) -> Manifest:
        """POST an object."""


async def ensure_authority(kube: Secrets, namespace: str) -> Pair:
    """The authority of this installation, made now if there is none; of two operators the first one's stands."""
    found = await kube.get("Secret", namespace, names.SECRET_ENDPOINT_CA)
    if found is None:
        found = await _make(kube, namespace)
    try:
        data = {key: base64.b64decode(found["data"][key]).decode() for key in (CERTIFICATE, KEY)}
    except (KeyError, ValueError, binascii.Error) as fault:
        text = f"Secret {names.SECRET_ENDPOINT_CA} of {namespace} has no readable {CERTIFICATE} and {KEY}: delete it"
        raise KubeError(HTTPStatus.UNPROCESSABLE_ENTITY, text, "Invalid") from fault
    return Pair(data[CERTIFICATE], data[KEY])


async def _make(kube: Secrets, namespace: str) -> Manifest:
    try:
        return await kube.create(_secret(await new_authority(), namespace))
    except KubeError as fault:
        if fault.status != HTTPStatus.CONFLICT:
            raise
    found = await kube.get("Secret", namespace, names.SECRET_ENDPOINT_CA)
    if found is None:
        raise KubeError(0, f"Secret {names.SECRET_ENDPOINT_CA} was there and is gone", "Race")
    return found


def _secret(authority: Pair, namespace: str) -> Manifest:
    data = {CERTIFICATE: authority.certificate, KEY: authority.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": names.SECRET_ENDPOINT_CA,
            "namespace": namespace,
            "labels": {names.MANAGED_BY: names.MANAGED_BY_VALUE},
        },
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
