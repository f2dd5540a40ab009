"""The one file that speaks to the API server: generic calls on plain dictionaries over `kubernetes.aio`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine import metrics
from modelyard.engine.paging import PAGE, Pages, accept, read_at_most
from modelyard.engine.slim import slim

TIMEOUT = 30.0
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind lives in the API."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def root(self) -> str:
        """URL path of the group version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


RESOURCES: dict[str, Resource] = {
    "Dataset": Resource(names.GROUP, names.VERSION, "datasets"),
    "FineTuneJob": Resource(names.GROUP, names.VERSION, "finetunejobs"),
    "ModelVersion": Resource(names.GROUP, names.VERSION, "modelversions"),
    "ModelDeployment": Resource(names.GROUP, names.VERSION, "modeldeployments"),
    "TrainingProfile": Resource(names.GROUP, names.VERSION, "trainingprofiles", namespaced=False),
    "ServingProfile": Resource(names.GROUP, names.VERSION, "servingprofiles", namespaced=False),
    "Job": Resource("batch", "v1", "jobs"),
    "ConfigMap": Resource("", "v1", "configmaps"),
    "Service": Resource("", "v1", "services"),
    "Deployment": Resource("apps", "v1", "deployments"),
    "InferenceService": Resource("serving.kserve.io", "v1beta1", "inferenceservices"),
    "ClusterServingRuntime": Resource("serving.kserve.io", "v1alpha1", "clusterservingruntimes", namespaced=False),
    "ClusterStorageContainer": Resource("serving.kserve.io", "v1alpha1", "clusterstoragecontainers", namespaced=False),
    "Pod": Resource("", "v1", "pods"),
    "Namespace": Resource("", "v1", "namespaces", namespaced=False),
    "Node": Resource("", "v1", "nodes", namespaced=False),
    "Event": Resource("", "v1", "events"),
    "Secret": Resource("", "v1", "secrets"),
    "TokenReview": Resource("authentication.k8s.io", "v1", "tokenreviews", namespaced=False),
    "Workload": Resource("kueue.x-k8s.io", "v1beta2", "workloads"),
    "WorkloadV1Beta1": Resource("kueue.x-k8s.io", "v1beta1", "workloads"),
    "Lease": Resource("coordination.k8s.io", "v1", "leases"),
}


class KubeError(Exception):
    """The API server said no (status >= 400) or gave no answer (status 0)."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.message, self.reason = status, message, reason


class WentBackError(Exception):
    """A listing is older than what was seen before it: the API server's store was restored from an earlier state.

    What is in memory is of a history that is no more, and newer by number than anything that comes from now on.
    """


class Kube:
    """Generic verbs for every kind in RESOURCES."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.on_write: Callable[[Manifest], None] = lambda obj: None
        """Told each object as it stands after a write of ours."""
        self.newest: Callable[[str], int] = lambda kind: 0
        """The highest resource version that was seen of a kind."""

    @classmethod
    async def connect(cls, kubeconfig: str | None = None) -> Kube:
        """Use the in-cluster configuration, else the given or the current kubeconfig."""
        configuration = Configuration()
        configuration.connection_pool_maxsize = 64
        # The API server is reached directly, as by kopf; looking for a proxy and a netrc costs a thread per request.
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(kubeconfig, client_configuration=configuration)
        return cls(ApiClient(configuration))

    @property
    def configuration(self) -> Configuration:
        """Host, certificates and token."""
        return self._client.configuration

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object, None if it is not there."""
        try:
            return await self._call("GET", kind, namespace, name)
        except KubeError as fault:
            if fault.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def list(
        self,
        kind: str,
        selector: str = "",
        namespace: str = "",
        limit: int = PAGE,
        fields: str = "",
        keep: Callable[[Manifest], bool] = lambda _: True,
    ) -> list[Manifest]:
        """All objects of a kind that are to be kept, of each what is read of it; only one page is whole at any time.

        Raises WentBackError if the API server has forgotten what it had shown.
        """
        items: list[Manifest] = []
        chosen = {"labelSelector": selector, "fieldSelector": fields}
        query = {name: value for name, value in chosen.items() if value}
        pages, wanted = Pages(limit), accept(kind, "List")

        async def ask(limit: int, most: int | None) -> Manifest:
            sized = {**query, "limit": str(limit)}
            return await self._call("GET", kind, namespace, query=sized, wanted=wanted, most=most)

        newest = self.newest(kind)
        while True:
            page = await pages.read(ask)
            _check_order(kind, newest, str(page.get("metadata", {}).get("resourceVersion", "")))
            items.extend(filter(keep, _slimmed(kind, page.get("items") or [])))
            if not (token := page.get("metadata", {}).get("continue")):
                return items
            query["continue"] = token
            del page

    async def serves(self, kinds: Iterable[str]) -> bool:
        """True if the cluster serves all of these kinds, by its own discovery."""
        roots = {RESOURCES[kind].root: kind for kind in kinds}
        found = set()
        for root, kind in roots.items():
            try:
                answer = await self._call("GET", kind, path=root)
            except KubeError as fault:
                if fault.status == HTTPStatus.NOT_FOUND:
                    return False
                raise
            found |= {resource["kind"] for resource in answer.get("resources", [])}
        return found >= set(kinds)

    async def create(self, manifest: Manifest) -> Manifest:
        """POST an object."""
        kind, namespace = manifest["kind"], manifest["metadata"].get("namespace", "")
        return await self._write("POST", kind, namespace, body=manifest, query={"fieldManager": names.FIELD_MANAGER})

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply; our fields win."""
        kind, meta = manifest["kind"], manifest["metadata"]
        query = {"fieldManager": names.FIELD_MANAGER, "force": "true"}
        place = (kind, meta.get("namespace", ""), meta["name"])
        return await self._write("PATCH", *place, body=manifest, query=query, content=APPLY_PATCH)

    async def patch(self, kind: str, namespace: str, name: str, body: Manifest, subresource: str = "") -> Manifest:
        """JSON merge patch; with metadata.resourceVersion in the body a stale writer gets 409."""
        tail, query = f"/{subresource}" if subresource else "", {"fieldManager": names.FIELD_MANAGER}
        return await self._write("PATCH", kind, namespace, name, tail, body=body, query=query, content=MERGE_PATCH)

    async def replace(self, manifest: Manifest) -> Manifest:
        """PUT an object with its resourceVersion."""
        kind, meta = manifest["kind"], manifest["metadata"]
        return await self._write("PUT", kind, meta.get("namespace", ""), meta["name"], body=manifest)

    async def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool:
        """Delete in the background; True if it is gone at once. One that is gone already (or another) is no error."""
        body: Manifest = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            answer = await self._call("DELETE", kind, namespace, name, body=body)
        except KubeError as fault:
            if fault.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise
            return True
        return answer.get("kind") == "Status"

    async def _write(self, method: str, kind: str, *place: str, **request: Any) -> Manifest:
        answer = await self._call(method, kind, *place, **request)
        self.on_write(answer)
        return answer

    async def _call(self, method: str, kind: str, *place: str, path: str = "", **request: Any) -> Manifest:
        began, code = perf_counter(), 0
        try:
            code, data = await self._send(method, path or path_of(kind, *place), **request)
        finally:
            metrics.KUBE_REQUESTS.labels(method, kind, str(code)).inc()
            metrics.KUBE_SECONDS.labels(method).observe(perf_counter() - began)
        return _parse(code, data)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: Manifest | None = None,
        query: dict[str, str] | None = None,
        content: str = "application/json",
        wanted: str = "application/json",
        most: int | None = None,
    ) -> tuple[int, bytearray]:
        headers = {"Content-Type": content, "Accept": wanted, "User-Agent": names.FIELD_MANAGER}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            response = await self._client.call_api(method, url, headers, body, _request_timeout=TIMEOUT)
            return response.status, await read_at_most(response.response, most)
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise KubeError(0, f"{type(fault).__name__}: {fault}", "NoAnswer") from fault


def path_of(kind: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """URL path of a collection, object or subresource ("/status")."""
    resource = RESOURCES[kind]
    scope = f"/namespaces/{quote(namespace)}" if namespace and resource.namespaced else ""
    tail = f"/{quote(name)}" if name else ""
    return f"{resource.root}{scope}/{resource.plural}{tail}{subresource}"


def _check_order(kind: str, newest: int, listed: str) -> None:
    if listed.isdigit() and int(listed) < newest:
        raise WentBackError(f"{kind}: resource version {listed} is listed, {newest} was seen before")


def _slimmed(kind: str, items: list[Manifest]) -> list[Manifest]:
    resource = RESOURCES[kind]
    version = f"{resource.group}/{resource.version}" if resource.group else resource.version
    for obj in items:
        obj |= {"kind": kind, "apiVersion": version}
        slim(obj)
    return items


def _parse(status: int, data: bytearray) -> Manifest:
    try:
        answer: Any = json.loads(data) if data else {}
    except ValueError:
        answer = {"message": data[:500].decode(errors="replace")}
    if status >= HTTPStatus.BAD_REQUEST:
        raise KubeError(status, str(answer.get("message", "")), str(answer.get("reason", "")))
    return dict(answer)
