"""The stage of every figure: API server, store, definitions, inputs and an operator that is not started yet."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from dev.bench import manifests
from dev.bench.measured_operator import MeasuredOperator
from dev.known_base import make_known
from dev.localcluster.apiserver import ApiServer
from dev.localcluster.minio import MinioServer
from modelyard.api.dataset import DatasetSpec
from modelyard.api.run import DatasetInfo
from modelyard.engine.kube import Kube, path_of
from modelyard.resources.dataset.prepare_job import prefix
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from tests.cluster.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
HOME = "modelyard"
BUCKET = "modelyard"


@dataclass(frozen=True)
class Stage:
    """What a figure works on; `session` is a raw client for watches."""

    kube: Kube
    kubectl: Kubectl
    store: Store
    operator: MeasuredOperator
    session: aiohttp.ClientSession
    host: str
    api: ApiServer

    async def namespace(self, name: str) -> str:
        """A namespace whose Dataset is Ready at once: its rows lie in the store, and its base is known."""
        self.kubectl.ok("create", "namespace", name)
        self.kubectl.run("create", "serviceaccount", "default", "-n", name)  # a controller may have made it
        wanted = manifests.dataset(name)
        _publish_rows(self.store, prefix(wanted, DatasetSpec.model_validate(wanted["spec"])))
        make_known(self.store, BUCKET, name, manifests.BASE)
        await self.kube.create(wanted)
        return name

    async def empty(self, namespace: str) -> None:
        """Delete what was made in a namespace, as garbage collection would."""
        for kind in ("FineTuneJob", "Job", "ConfigMap", "Pod", "ModelVersion", "Dataset"):
            url = self.host + path_of(kind, namespace)
            async with self.session.delete(url, json={"propagationPolicy": "Background"}) as answer:
                answer.raise_for_status()


@contextlib.asynccontextmanager
async def stage(*, controllers: bool = False) -> AsyncIterator[Stage]:
    """Everything up; everything down at the end. With `controllers` namespaces end and orphans are collected."""
    with ApiServer(controller_manager=controllers) as api, MinioServer() as minio:
        kubectl = Kubectl(api.kubeconfig)
        kubectl.ok("create", "-f", str(ROOT / "crds"))
        kubectl.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        kubectl.ok("create", "namespace", HOME)
        store = _store(minio)
        operator = MeasuredOperator(api.folder, _environment(api, minio))
        kube = await Kube.connect(str(api.kubeconfig))
        async with aiohttp.ClientSession(connector=_connector(kube)) as session:
            try:
                yield Stage(kube, kubectl, store, operator, session, api.url, api)
            finally:
                await operator.stop()
                await kube.close()


def _publish_rows(store: Store, target: str) -> None:
    info = DatasetInfo(
        task="text-classification",
        digest="sha256:" + "1" * 64,
        rows={"train": 16, "validation": 2, "test": 2},
        classes={key: {"train": 8, "validation": 1, "test": 1} for key in manifests.CLASSES},
        removed={},
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.jsonl").write_text('{"text": "text 1", "label": "good"}\n')
        publish(store, BUCKET, target, Path(folder), "dataset", info.dump())


def _connector(kube: Kube) -> aiohttp.TCPConnector:
    settings = kube.configuration
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    context.load_cert_chain(settings.cert_file, settings.key_file)
    return aiohttp.TCPConnector(ssl=context)


def _store(minio: MinioServer) -> Store:
    store = Store.connect(minio.url, minio.access_key, minio.secret_key, patience=10)
    for bucket in (BUCKET, "base"):
        store.ensure_bucket(bucket)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        store.put("base", f"minilm/{name}", b"{}")
    return store


def _environment(api: ApiServer, minio: MinioServer) -> dict[str, str]:
    return {
        "KUBECONFIG": str(api.kubeconfig),
        "MODELYARD_TRAINER_IMAGE": "registry.example/trainer:1",
        "MODELYARD_SERVER_IMAGE": "registry.example/server:1",
        "MODELYARD_STORE_ENDPOINT": minio.url,
        "MODELYARD_NAMESPACE": HOME,
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
    }
