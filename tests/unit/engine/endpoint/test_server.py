"""The real server over real TLS, posted to by the trainer's own client."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from modelyard import names
from modelyard.engine.endpoint import server, signing
from modelyard.engine.endpoint.authority import ensure_authority
from modelyard.engine.endpoint.credentials import Credentials
from modelyard.engine.endpoint.progress_store import ProgressStore
from modelyard.engine.endpoint.server import Endpoint
from modelyard.engine.kube import KubeError
from modelyard.storage.credentials import EndpointProvider
from modelyard_trainer.posting import Poster, PostError
from modelyard_trainer.progress import Progress
from tests.unit.engine.endpoint.harness import HOST, JOB, NAMESPACE, Keysmith, Reviewer, a_cache, a_running_job, callers

PATH = f"/v1/namespaces/{NAMESPACE}/jobs/{JOB}/progress"
GOOD = json.dumps({"trainerStatus": {"metrics": [{"name": "loss", "value": "0.5"}]}}).encode()


@dataclass
class Running:
    """An endpoint that listens."""

    port: int
    ca: Path
    progress: ProgressStore
    header: str
    reviewer: Reviewer

    async def send(self, body: bytes = GOOD, path: str = PATH, method: str = "POST", **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        sent = {"Authorization": self.header, **headers}
        answer = await asyncio.to_thread(self.pool().request, method, path, body=body, headers=sent)
        return answer.status, json.loads(answer.data)

    def pool(self) -> urllib3.HTTPSConnectionPool:
        """As a pod that reaches the Service by its name."""
        names_: dict[str, Any] = {"server_hostname": HOST, "assert_hostname": HOST}
        return urllib3.HTTPSConnectionPool("127.0.0.1", self.port, ca_certs=str(self.ca), retries=False, **names_)


@pytest.fixture(scope="module")
def authority() -> signing.Pair:
    return asyncio.run(signing.new_authority())


@pytest.fixture
async def running(authority: signing.Pair, tmp_path: Path) -> AsyncIterator[Running]:
    reviewer, progress = Reviewer(), ProgressStore(lambda key: None)
    endpoint = Endpoint(callers(reviewer), progress, Credentials(a_cache(a_running_job()), Keysmith(), "modelyard"))
    port = await endpoint.start(0, authority, HOST)
    ca = tmp_path / "ca.crt"
    ca.write_text(authority.certificate)
    yield Running(port, ca, progress, reviewer.knows("genuine"), reviewer)
    await endpoint.stop()


async def test_a_post_is_remembered(running: Running) -> None:
    assert await running.send() == (200, {})
    await asyncio.sleep(0.01)
    shown = await running.progress.read({"namespace": NAMESPACE, "job": JOB})
    assert shown is not None and shown["loss"] == 0.5


async def test_the_trainers_own_posts(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("genuine")
    poster = Poster(f"https://127.0.0.1:{running.port}{PATH}", str(running.ca), token)
    poster._pool.connection_pool_kw |= {"server_hostname": HOST, "assert_hostname": HOST}
    progress = Progress(poster, interval=0.05)
    progress.update(stage="train", step=40, steps=100, loss=0.25, epoch=0.4, resumed_from=30)
    await asyncio.to_thread(progress.close)
    await asyncio.sleep(0.01)
    shown = await running.progress.read({"namespace": NAMESPACE, "job": JOB})
    assert shown is not None
    told = {key: shown[key] for key in ("stage", "step", "steps", "loss", "epoch", "resumedFrom")}
    assert told == {"stage": "train", "step": 40, "steps": 100, "loss": 0.25, "epoch": 0.4, "resumedFrom": 30}
    token.write_text("forged")
    with pytest.raises(PostError, match=r"401.*opens nothing"):
        await asyncio.to_thread(poster, GOOD)


async def test_whom_the_client_does_not_know_is_not_told_the_token(running: Running) -> None:
    with pytest.raises(urllib3.exceptions.SSLError):
        pool = urllib3.HTTPSConnectionPool("127.0.0.1", running.port, ca_certs=str(running.ca), retries=False)
        await asyncio.to_thread(pool.request, "POST", PATH)
    other = running.ca.with_name("other.crt")
    other.write_text((await signing.new_authority()).certificate)
    running.ca = other
    with pytest.raises(urllib3.exceptions.SSLError):
        await running.send()


def metrics(count: int) -> bytes:
    return json.dumps({"trainerStatus": {"metrics": [{"name": "a", "value": "1"}] * count}}).encode()


REFUSED: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "no token": ({"Authorization": ""}, 401, "Unauthenticated", "send the pod's projected token"),
    "forged": ({"Authorization": "Bearer x.y.z"}, 401, "Unauthenticated", "opens nothing"),
    "NaN": ({"body": b'{"trainerStatus": {"metrics": [{"name": "a", "value": NaN}]}}'}, 422, "BadProgress", "NaN"),
    "10 MB": ({"body": b" " * 10_000_000}, 413, "TooLarge", "65536"),
    "1,500 metrics": ({"body": metrics(1500)}, 422, "BadProgress", "at most 100"),
    "10,000 metrics": ({"body": metrics(10_000)}, 413, "TooLarge", "65536"),
    "deep": ({"body": b"[" * 60_000}, 422, "BadProgress", "deeply"),
    "another method": ({"method": "GET"}, 405, "MethodNotAllowed", "GET"),
    "another path": ({"path": "/"}, 404, "NotFound", "POST"),
    "a path that climbs": ({"path": f"/v1/namespaces/{NAMESPACE}/jobs/../../x/progress"}, 404, "NotFound", "POST"),
    "another job": ({"path": PATH.replace(JOB, "other")}, 401, "Unauthenticated", "opens nothing"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_every_refusal_says_why(name: str, running: Running) -> None:
    request, status, reason, told = REFUSED[name]
    got, answer = await running.send(**request)
    assert (got, answer["reason"]) == (status, reason)
    assert told in answer["message"]
    assert await running.progress.read({"namespace": NAMESPACE, "job": JOB}) is None


async def test_a_body_without_length_ends_at_the_limit(running: Running) -> None:
    def flood() -> tuple[int, Any]:
        chunks = (b" " * 65_536 for _ in range(160))
        answer = running.pool().request("POST", PATH, body=chunks, headers={"Authorization": running.header})
        return answer.status, json.loads(answer.data)

    try:
        status, answer = await asyncio.to_thread(flood)
    except (urllib3.exceptions.ProtocolError, ssl.SSLError):
        return  # refused while the client was still writing
    assert (status, answer["reason"]) == (413, "TooLarge")


async def test_keys_go_to_whom_they_are_for(running: Running, tmp_path: Path) -> None:
    path = PATH.replace(names.PROGRESS, names.CREDENTIALS)
    status, answer = await running.send(b"", path, "GET")
    assert (status, answer["reason"]) == (401, "Unauthenticated"), "a token for progress opens nothing here"
    token = tmp_path / "token"
    token.write_text(running.reviewer.knows("keys", purpose=names.CREDENTIALS).removeprefix("Bearer "))
    provider = EndpointProvider(f"https://127.0.0.1:{running.port}{path}", str(running.ca), token, patience=0)
    provider._pool.connection_pool_kw |= {"server_hostname": HOST, "assert_hostname": HOST}
    keys = await asyncio.to_thread(provider.retrieve)
    assert (keys.access_key, keys.secret_key, keys.session_token) == ("key", "secret", "session")


async def test_a_flood_of_one_pod_is_stopped(running: Running) -> None:
    found = [(await running.send())[0] for _ in range(12)]
    assert found.count(200) in (10, 11) and found[-1] == 429


async def test_the_certificate_is_renewed_while_it_serves(
    running: Running, authority: signing.Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(port: int) -> bytes:
        context = ssl.create_default_context(cafile=str(running.ca))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as s,
        ):
            return s.getpeercert(binary_form=True) or b""

    monkeypatch.setattr(server, "RENEW_EVERY", 0.1)
    endpoint = Endpoint(callers(Reviewer()), running.progress, Credentials(a_cache(), Keysmith(), "modelyard"))
    port = await endpoint.start(0, authority, HOST)
    first = now = await asyncio.to_thread(seen, port)
    for _ in range(200):
        if now != first:
            break
        await asyncio.sleep(0.1)
        now = await asyncio.to_thread(seen, port)
    await endpoint.stop()
    assert now != first


async def test_the_authority_is_made_once(authority: signing.Pair) -> None:
    class Api:
        def __init__(self) -> None:
            self.secret: dict[str, Any] | None = None

        async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
            assert (kind, namespace, name) == ("Secret", "ops", names.SECRET_ENDPOINT_CA)
            return self.secret

        async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
            if self.secret is not None:
                raise KubeError(409, "exists")
            self.secret = manifest
            return manifest

    api = Api()
    first = await ensure_authority(api, "ops")
    assert await ensure_authority(api, "ops") == first
    api.secret = {"data": {"ca.crt": "%%%"}}
    with pytest.raises(KubeError, match="delete it"):
        await ensure_authority(api, "ops")


async def test_an_authority_that_cannot_be_read_is_named() -> None:
    with pytest.raises(signing.SigningError, match="PEM"):
        await signing.server_certificate(signing.Pair("no", "no"), HOST)
