"""An operator of some release at work on an API server and a store, and what it wrote."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.localcluster.apiserver import ApiServer
from dev.localcluster.children import free_port
from dev.localcluster.minio import MinioServer
from dev.localcluster.waiting import answers, wait_until
from tests.cluster import audit
from tests.cluster.installed import ACCOUNT, GROUPS

ROOT = Path(__file__).parents[2]
HEAD = ROOT / "operator" / "src"
LAUNCHER = Path(__file__).with_name("launcher.py")
STORE_HOST, NAMESPACE = "store.example", "ops"
RESYNC = 2
WRITES = ("create", "update", "patch", "delete", "deletecollection")
OWN = ("leases", "tokenreviews", "subjectaccessreviews")
"""The Lease, and questions that are asked by POST."""
AUTHORITY = "modelyard-endpoint-ca"
"""Secret that an installation makes once; it is not part of a recording, for it holds a private key."""


@dataclass(frozen=True)
class Ground:
    """An API server and a store, and where the servers of versions answer."""

    api: ApiServer
    minio: MinioServer
    servers: int = 1

    def environment(self, source: Path, more: Mapping[str, str]) -> dict[str, str]:
        """What a process of the operator gets, with addresses that a recording may hold."""
        store = self.minio.endpoint.rpartition(":")[2]
        return {
            **os.environ,
            "PYTHONPATH": str(source),
            "KUBECONFIG": str(self.api.kubeconfig_for(ACCOUNT, GROUPS)),
            "MODELYARD_TEST_HOSTS": f"{STORE_HOST}={store},.cluster.local={self.servers}",
            "MODELYARD_NAMESPACE": NAMESPACE,
            "MODELYARD_IDENTITY": "operator",
            "MODELYARD_ENDPOINT_PORT": str(free_port()),
            "MODELYARD_RESYNC_SECONDS": str(RESYNC),
            "MODELYARD_LEASE_SECONDS": "5",
            "MODELYARD_TRAINER_IMAGE": "trainer:1",
            "MODELYARD_SERVER_IMAGE": "server:1",
            "MODELYARD_STORE_ENDPOINT": f"http://{STORE_HOST}:9000",
            "AWS_ACCESS_KEY_ID": self.minio.access_key,
            "AWS_SECRET_ACCESS_KEY": self.minio.secret_key,
            **more,
        }


@dataclass(frozen=True)
class Process:
    """One operator that runs."""

    port: int
    log: Path

    def figure(self, name: str) -> float:
        """One of its metrics; 0 while it cannot be read."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
        except OSError:
            return 0.0
        return float(found[1]) if found else 0.0

    def settle(self, looks: int = 1) -> None:
        """Until it has looked at every object that often, and nothing is left to do."""
        self.until("the operator to lead", lambda: answers(f"http://127.0.0.1:{self.port}/readyz"))
        enough = self.figure("modelyard_resyncs_total") + looks
        self.until("resyncs", lambda: self.figure("modelyard_resyncs_total") >= enough)

    def until(self, what: str, condition: Any) -> None:
        """Wait for at most a minute; the log tells why it failed."""
        try:
            wait_until(condition, what, 60, pause=0.1)
        except Exception as fault:
            raise AssertionError(f"{what}: {self.log.read_text()[-3000:]}") from fault


@contextmanager
def operator(ground: Ground, source: Path, log: Path, **more: str) -> Iterator[Process]:
    """The operator whose source this is, until the block ends."""
    port = free_port()
    environment = ground.environment(source, {"MODELYARD_HEALTH_PORT": str(port), **more})
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, str(LAUNCHER), "run"], env=environment, stdout=out, stderr=out)
        try:
            yield Process(port, log)
        finally:
            process.terminate()
            process.wait(timeout=30)


def writes(api: ApiServer, since: int = 0) -> list[str]:
    """What operators asked to be written after so many lines of the audit log, besides Leases, refused or not."""
    found = []
    for entry in list(audit.entries(api.audit_log, ACCOUNT))[since:]:
        ref, verb = entry["objectRef"], entry["verb"]
        if verb not in WRITES or ref["resource"] in OWN or ref.get("name") == AUTHORITY or _makes(entry, "secrets"):
            continue
        tail = f"/{ref['subresource']}" if "subresource" in ref else ""
        found.append(f"{verb} {ref['resource']}{tail} {ref.get('namespace', '')}/{ref.get('name', '')}")
    return found


def requests(api: ApiServer) -> int:
    """How many the audit log has by now."""
    return len(list(audit.entries(api.audit_log, ACCOUNT)))


def _makes(entry: dict[str, Any], resource: str) -> bool:
    return bool(entry["verb"] == "create" and entry["objectRef"]["resource"] == resource)


def crds_of(source: Path) -> str:
    """The CustomResourceDefinitions of a release, as YAML."""
    command = [sys.executable, "-c", "from modelyard import generate; print(generate.crds_yaml())"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
