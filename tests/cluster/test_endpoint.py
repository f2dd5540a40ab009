"""The endpoint in front of a real API server: real tokens of real pods, and what must open nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from dev.localcluster.minio import MinioServer
from modelyard import names
from modelyard.api.hyperparameters import Input, Lora, Method, Train
from modelyard.api.recipes import Asked, resolved
from modelyard.api.store import StoreConnection
from modelyard.engine.cache import Cache
from modelyard.engine.endpoint.authority import ensure_authority
from modelyard.engine.endpoint.callers import Callers
from modelyard.engine.endpoint.credentials import Credentials
from modelyard.engine.endpoint.progress_store import ProgressStore
from modelyard.engine.endpoint.server import Endpoint
from modelyard.engine.kube import Kube
from modelyard.storage.credentials import EndpointProvider
from modelyard.storage.errors import Denied, StoreError
from modelyard.storage.store import Store
from modelyard.storage.sts import Sts
from tests.cluster.installed import ACCOUNT, GROUPS, chart_installed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import smallest

HOST = "prod-modelyard.ops.svc"
BUCKET = "modelyard"
TENANTS = ("team-a", "team-b")
JOB, POD = "reviews-1", "reviews-1-0"
GOOD = json.dumps({"trainerStatus": {"metrics": [{"name": "loss", "value": "0.5"}]}}).encode()


@dataclass(frozen=True)
class Site:
    """An API server with the chart, and a run with a pod in each of two namespaces."""

    admin: Kubectl
    operator: Path
    """kubeconfig of the operator's own account, with what the chart permits and no more."""

    def token(self, namespace: str, pod: str = POD, audience: str = "", *, bound: bool = True) -> str:
        """A token as the kubelet projects it."""
        words = ["-n", namespace, "create", "token", "default"]
        words += ["--audience", audience or names.audience(JOB, names.PROGRESS)]
        if bound:
            uid = self.admin.ok("-n", namespace, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
            words += ["--bound-object-kind=Pod", f"--bound-object-name={pod}", f"--bound-object-uid={uid}"]
        return self.admin.ok(*words).strip()

    def make_pod(self, namespace: str, pod: str, job: str = JOB) -> None:
        """A pod of the Job, as the Job controller would make it; nothing runs it."""
        uid = self.admin.ok("-n", namespace, "get", "job", job, "-o", "jsonpath={.metadata.uid}")
        self.admin.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": pod,
                    "namespace": namespace,
                    "ownerReferences": [reference("batch/v1", "Job", job, uid)],
                },
                "spec": {"containers": [{"name": "trainer", "image": "trainer:1"}]},
            }
        )


def reference(api: str, kind: str, name: str, uid: str) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": True}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with chart_installed() as found:
        site = Site(found.admin, found.server.kubeconfig_for(ACCOUNT, GROUPS))
        for namespace in TENANTS:
            _make_tenant(site, namespace)
        yield site


def _make_tenant(site: Site, namespace: str) -> None:
    site.admin.ok("create", "namespace", namespace)
    site.admin.create({**_meta("v1", "ServiceAccount", "default", namespace)})
    made = site.admin.create(smallest("FineTuneJob", name="reviews"), "-n", namespace)
    job = _meta("batch/v1", "Job", JOB, namespace)
    job["metadata"] |= {
        "labels": {names.LABEL_RUN: "1"},
        "ownerReferences": [reference(names.API_VERSION, "FineTuneJob", "reviews", made["metadata"]["uid"])],
    }
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "trainer", "image": "trainer:1"}]}}
    site.admin.create({**job, "spec": {"suspend": True, "template": template}})
    site.make_pod(namespace, POD)


def _meta(api: str, kind: str, name: str, namespace: str) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}}


@dataclass
class Running:
    """The endpoint with the operator's own permissions."""

    kube: Kube
    cache: Cache
    progress: ProgressStore
    port: int
    ca: Path

    async def look(self) -> None:
        """What the watches would have shown."""
        for kind in ("FineTuneJob", "Job", "Pod"):
            for obj in await self.kube.list(kind):
                self.cache.put({**obj, "kind": kind})

    async def post(self, token: str, namespace: str = "team-a", body: bytes = GOOD, job: str = JOB) -> tuple[int, str]:
        """Status and message."""
        names_: dict[str, Any] = {"server_hostname": HOST, "assert_hostname": HOST}
        pool = urllib3.HTTPSConnectionPool("127.0.0.1", self.port, ca_certs=str(self.ca), retries=False, **names_)
        path = f"/v1/namespaces/{namespace}/jobs/{job}/progress"
        headers = {"Authorization": f"Bearer {token}"}
        answer = await asyncio.to_thread(pool.request, "POST", path, body=body, headers=headers)
        return answer.status, str(json.loads(answer.data).get("message", ""))


@pytest.fixture(scope="module")
def minio() -> Iterator[MinioServer]:
    with MinioServer() as server:
        root = Store.connect(server.url, server.access_key, server.secret_key)
        for bucket in (BUCKET, "base"):
            root.ensure_bucket(bucket)
        for namespace in TENANTS:
            root.put(BUCKET, f"ns/{namespace}/models/reviews/runs/1/mine", namespace.encode())
        root.put("base", "tiny/config.json", b"{}")
        yield server


@pytest.fixture
async def running(site: Site, minio: MinioServer, tmp_path: Path) -> AsyncIterator[Running]:
    kube = await Kube.connect(str(site.operator))
    cache, progress = Cache(), ProgressStore(lambda key: None)
    credentials = Credentials(
        cache, Sts(StoreConnection(endpoint=minio.url), minio.access_key, minio.secret_key), BUCKET
    )
    endpoint = Endpoint(Callers(kube, cache), progress, credentials)
    authority = await ensure_authority(kube, "ops")
    port = await endpoint.start(0, authority, HOST)
    ca = tmp_path / "ca.crt"
    ca.write_text(authority.certificate)
    running = Running(kube, cache, progress, port, ca)
    await running.look()
    yield running
    await endpoint.stop()
    await kube.close()


async def test_the_authority_outlives_the_operator(site: Site, running: Running) -> None:
    again = await ensure_authority(running.kube, "ops")
    assert again.certificate == running.ca.read_text()
    assert names.SECRET_ENDPOINT_CA in site.admin.ok("-n", "ops", "get", "secrets", "-o", "name")


async def test_a_pod_of_the_run_may_post(site: Site, running: Running) -> None:
    assert await running.post(site.token("team-a")) == (200, "")
    await asyncio.sleep(0.01)
    assert await running.progress.read({"namespace": "team-a", "job": JOB})
    assert await running.progress.read({"namespace": "team-b", "job": JOB}) is None


async def refused(
    running: Running, token: str, status: int, told: str, namespace: str = "team-a", job: str = JOB
) -> None:
    got, message = await running.post(token, namespace, job=job)
    assert (got, told in message) == (status, True), (got, message)
    assert await running.progress.read({"namespace": namespace, "job": JOB}) is None


async def test_tokens_of_other_tenants(site: Site, running: Running) -> None:
    await refused(running, site.token("team-b"), 403, "team-b", namespace="team-a")
    await refused(running, site.token("team-a"), 403, "team-a", namespace="team-b")


async def test_forged_and_foreign_tokens(site: Site, running: Running) -> None:
    genuine = site.token("team-a")
    head, body, signature = genuine.split(".")
    others = json.dumps({"sub": "system:serviceaccount:team-a:default"}).encode().hex()
    for forged in (f"{head}.{body}.{signature[::-1]}", f"{head}.{others}.{signature}", f"{head}.{body}.", "nonsense"):
        await refused(running, forged, 401, "opens nothing")
    await refused(running, site.token("team-a", bound=False), 401, "opens nothing")
    another = (names.audience(JOB, names.CREDENTIALS), names.audience("x", names.PROGRESS))
    for audience in ("https://kubernetes.default.svc", *another):
        await refused(running, site.token("team-a", audience=audience), 401, "opens nothing")
    await refused(running, genuine, 401, "opens nothing", job="unknown-job")


async def test_a_pod_of_no_run(site: Site, running: Running) -> None:
    """Whoever may make pods can mint a token of any audience: its pod is not one of the Job's."""
    pod = _meta("v1", "Pod", "stranger", "team-a")
    site.admin.create({**pod, "spec": {"containers": [{"name": "x", "image": "x"}]}})
    await running.look()
    await refused(running, site.token("team-a", "stranger"), 403, "no pod stranger of Job")


async def test_a_deleted_pod_and_its_namesake(site: Site, running: Running) -> None:
    site.make_pod("team-a", "brief")
    await running.look()
    old = site.token("team-a", "brief")
    assert (await running.post(old))[0] == 200
    site.admin.ok("-n", "team-a", "delete", "pod", "brief", "--force", "--grace-period=0")
    site.make_pod("team-a", "brief")
    await running.look()
    running.progress._entries.clear()
    await refused(running, old, 403, "uid of this token")
    assert (await running.post(site.token("team-a", "brief")))[0] == 200


BODIES = {
    "NaN": (b'{"trainerStatus": {"metrics": [{"name": "loss", "value": NaN}]}}', 422, "NaN"),
    "NaN as text": (b'{"trainerStatus": {"metrics": [{"name": "loss", "value": "nan"}]}}', 422, "finite"),
    "Infinity": (b'{"trainerStatus": {"metrics": [{"name": "loss", "value": 1e999}]}}', 422, "finite"),
    "10 MB": (b" " * 10_000_000, 413, "too large"),
    "10,000 metrics": (json.dumps([{"name": "a", "value": "1"}] * 10_000).encode(), 413, "too large"),
    "1,000 metrics": (
        json.dumps({"trainerStatus": {"metrics": [{"name": "a", "value": "1"}] * 1000}}).encode(),
        422,
        "at most 100",
    ),
    "deep": (b'{"a":' * 10_000, 422, "deeply"),
}


async def test_bodies_that_are_not_taken(site: Site, running: Running) -> None:
    token = site.token("team-a")
    for name, (body, status, told) in BODIES.items():
        got, message = await running.post(token, body=body)
        assert (got, told in message) == (status, True), (name, got, message)
    assert await running.progress.read({"namespace": "team-a", "job": JOB}) is None


async def pin(running: Running, namespace: str, state: str = "Running") -> None:
    """As the operator writes it when a run starts."""
    filled = resolved(Asked("text-classification", Method(lora=Lora()), Input(), Train()), rows=100)
    pinned = {
        "image": "trainer:1",
        "recipe": filled.recipe,
        "method": filled.method.dump(),
        "input": filled.input.dump(),
        "train": filled.train.dump(),
        "base": {"uri": "s3://base/tiny/", "digest": "sha256:b"},
        "dataset": {"name": "d", "prefix": f"ns/{namespace}/datasets/d/1/", "digest": "sha256:d"},
    }
    status = {"status": {"run": {"id": "1", "model": "reviews", "state": state, "pinned": pinned}}}
    await running.kube.patch("FineTuneJob", namespace, "reviews", status, "status")
    await running.look()


async def keys_of(running: Running, minio: MinioServer, token: str, folder: Path, namespace: str) -> Store:
    """The store as a pod of that namespace's run sees it."""
    (folder / "token").write_text(token)
    url = f"https://127.0.0.1:{running.port}/v1/namespaces/{namespace}/jobs/{JOB}/credentials"
    provider = EndpointProvider(url, str(running.ca), folder / "token", patience=0)
    provider._pool.connection_pool_kw |= {"server_hostname": HOST, "assert_hostname": HOST}
    await asyncio.to_thread(provider.retrieve)
    return Store.with_provider(minio.url, provider)


async def test_keys_open_the_own_run_and_nothing_else(
    site: Site, running: Running, minio: MinioServer, tmp_path: Path
) -> None:
    await pin(running, "team-a")
    token = site.token("team-a", audience=names.audience(JOB, names.CREDENTIALS))
    store = await keys_of(running, minio, token, tmp_path, "team-a")
    own, other = (f"ns/{namespace}/models/reviews/runs/1/" for namespace in TENANTS)
    assert store.get(BUCKET, f"{own}mine") == b"team-a"
    store.put(BUCKET, f"{own}version/manifest.json", b"{}")
    assert store.get("base", "tiny/config.json") == b"{}"
    for call in (
        lambda: store.get(BUCKET, f"{other}mine"),
        lambda: store.put(BUCKET, f"{other}mine", b"a"),
        lambda: store.list(BUCKET, "ns/"),
        lambda: store.list(BUCKET, other),
        lambda: store.put("base", "tiny/config.json", b"[]"),
    ):
        with pytest.raises(Denied):
            call()


async def test_who_gets_no_keys(site: Site, running: Running, minio: MinioServer, tmp_path: Path) -> None:
    await pin(running, "team-a")
    await pin(running, "team-b")
    audience = names.audience(JOB, names.CREDENTIALS)
    attempts = [
        (site.token("team-a"), "team-a", "opens nothing"),  # for progress: all that a foreign trainer holds
        (site.token("team-b", audience=audience), "team-a", "team-b"),
        (site.token("team-a", audience=audience), "team-b", "team-a"),
        (site.token("team-a", audience=audience, bound=False), "team-a", "opens nothing"),
    ]
    for token, namespace, told in attempts:
        with pytest.raises(StoreError, match=told):
            await keys_of(running, minio, token, tmp_path, namespace)
    await pin(running, "team-a", "Failed")
    with pytest.raises(StoreError, match="not the one under way"):
        await keys_of(running, minio, site.token("team-a", audience=audience), tmp_path, "team-a")
