"""What the installation sets, from environment variables that the chart writes; nothing else is read anywhere."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from modelyard.api.store import StoreConnection, check_bundle
from modelyard.decision import Platform


@dataclass(frozen=True)
class Settings:
    """One installation; times in seconds."""

    platform: Platform
    namespace: str = "modelyard"
    identity: str = field(default_factory=socket.gethostname)
    store_access_key: str = ""
    store_secret_key: str = ""
    sts_endpoint: str = ""
    """Default: the store itself."""
    sts_role: str = ""
    """ARN of the role that run pods get a part of; stores that know no roles need none."""
    health_port: int = 8080
    endpoint_host: str = "modelyard.modelyard.svc"
    endpoint_port: int = 8443
    workers: int = 16
    resync_every: float = 600.0
    lease_duration: int = 10
    retry_cap: float = 60.0

    @staticmethod
    def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
        """Read MODELYARD_* and AWS_*; a missing store endpoint is an error at once, not at the first run."""
        missing = [name for name in REQUIRED if not env.get(name)]
        if missing:
            raise SystemExit(f"missing environment variables: {', '.join(missing)} (chart values image.* and store.*)")
        _check_store(env)
        namespace = env.get("MODELYARD_NAMESPACE", "modelyard")
        host = env.get("MODELYARD_ENDPOINT_HOST", f"modelyard.{namespace}.svc")
        platform = Platform(
            trainer_image=env["MODELYARD_TRAINER_IMAGE"],
            server_image=env["MODELYARD_SERVER_IMAGE"],
            **{f"store_{field}": value for field, value in StoreConnection.read(env).items()},  # type: ignore[arg-type]
            store_bucket=env.get("MODELYARD_STORE_BUCKET", "modelyard"),
            namespace=namespace,
            cluster_domain=env.get("MODELYARD_CLUSTER_DOMAIN", "cluster.local"),
            endpoint=f"https://{host}",
            refresh=env.get("MODELYARD_REFRESH_ON_UPGRADE", "false") == "true",
        )
        return Settings(
            platform=platform,
            namespace=namespace,
            identity=env.get("MODELYARD_IDENTITY", socket.gethostname()),
            store_access_key=env["AWS_ACCESS_KEY_ID"],
            store_secret_key=env["AWS_SECRET_ACCESS_KEY"],
            sts_endpoint=env.get("MODELYARD_STS_ENDPOINT", ""),
            sts_role=env.get("MODELYARD_STS_ROLE", ""),
            endpoint_host=host,
            endpoint_port=int(env.get("MODELYARD_ENDPOINT_PORT", "8443")),
            health_port=int(env.get("MODELYARD_HEALTH_PORT", "8080")),
            workers=int(env.get("MODELYARD_WORKERS", "16")),
            resync_every=float(env.get("MODELYARD_RESYNC_SECONDS", "600")),
            lease_duration=int(env.get("MODELYARD_LEASE_SECONDS", "10")),
        )


def _check_store(env: Mapping[str, str]) -> None:
    """SystemExit that names what cannot be used."""
    store = StoreConnection.read(env)
    try:
        StoreConnection.model_validate(store)
        check_bundle(store["ca_bundle"]) if "ca_bundle" in store else None
    except ValidationError as fault:
        wrong = fault.errors()[0]
        raise SystemExit(f"chart value store.{to_camel(str(wrong['loc'][0]))}: {wrong['msg']}") from fault
    except ValueError as fault:
        raise SystemExit(f"chart value store.caBundle: {fault}") from fault


REQUIRED = (
    "MODELYARD_TRAINER_IMAGE",
    "MODELYARD_SERVER_IMAGE",
    "MODELYARD_STORE_ENDPOINT",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
