"""How a store is reached: address, region, whom to trust, through which proxy, and where the bucket's name goes."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from modelyard.api.common import ApiModel

LONGEST_BUNDLE = 32768
"""Characters, some fifteen certificates: each server of the cluster carries them in its template."""
Addressing = Literal["auto", "path", "virtualHost"]
CaBundle = Annotated[str, Field(max_length=LONGEST_BUNDLE, pattern=r"-----BEGIN CERTIFICATE-----")]
ProxyUrl = Annotated[str, Field(max_length=512, pattern=r"^https?://[^\s/@]+$")]
FIELDS = {"endpoint": "ENDPOINT", "region": "REGION", "addressing": "ADDRESSING", "ca_bundle": "CA", "proxy": "PROXY"}
"""Field -> end of the environment variable that carries it to the operator and to server pods."""


class StoreConnection(ApiModel):
    """One store; the scheme of the endpoint decides about TLS."""

    endpoint: str
    region: str = "us-east-1"
    addressing: Addressing | None = None
    """None and auto: in the host's name for AWS and Alibaba Cloud, in the path elsewhere."""
    ca_bundle: CaBundle | None = None
    """PEM of authorities that are trusted beside the public ones."""
    proxy: ProxyUrl | None = None

    @staticmethod
    def read(env: Mapping[str, str]) -> dict[str, str]:
        """The fields that MODELYARD_STORE_* variables set."""
        found = {field: env.get(f"MODELYARD_STORE_{end}", "") for field, end in FIELDS.items()}
        return {field: value for field, value in found.items() if value}

    def environment(self) -> list[dict[str, Any]]:
        """The same as entries of a container's env."""
        values = {end: getattr(self, field) for field, end in FIELDS.items()}
        return [{"name": f"MODELYARD_STORE_{end}", "value": value} for end, value in values.items() if value]


class StoreLocation(StoreConnection):
    """The installation's artifact store."""

    bucket: str


def check_bundle(pem: str) -> None:
    """ValueError with the cause unless this is at least one whole certificate and no private key."""
    if "PRIVATE KEY" in pem:
        raise ValueError("it holds a private key: give only certificates, everybody may read them")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as fault:
        raise ValueError(f"not a PEM certificate ({fault})") from fault
