"""A full line refuses at once, and nothing is computed for those who left."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from dev.localcluster.waiting import wait_until
from modelyard_server.line import BusyError, Line
from modelyard_server.load import load
from modelyard_server.predict import Asked, ServedModel
from modelyard_server.predictor import Left, Predictor
from modelyard_server.protocol import Question
from modelyard_server.routes import unless_left
from tests.server.conftest import Answer, Server, complete
from tests.server.test_grpc import grpc_stub, grpc_tensor
from tests.server.version import write_version


class Slow:
    """Work that ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Event(), threading.Event()
        self.wanted = True

    def __call__(self, wanted: Callable[[], bool]) -> str:
        self.begun.set()
        self.end.wait(10)
        self.wanted = wanted()
        return "done"


async def started(line: Line, size: int = 1) -> tuple[asyncio.Task[str], Slow]:
    slow = Slow()
    task = asyncio.create_task(line.run(size, slow))
    await asyncio.to_thread(slow.begun.wait, 10)
    return task, slow


async def test_a_full_line_refuses_and_goes_on() -> None:
    line = Line(threads=1, waiting=2, waiting_bytes=100)
    task, slow = await started(line)
    waiting = [asyncio.create_task(line.run(1, lambda _: "next")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError, match=r"2 requests are waiting already.*spec\.serve\.replicas"):
        await line.run(1, lambda _: "refused")
    slow.end.set()
    assert [await task, *(await asyncio.gather(*waiting))] == ["done", "next", "next"]
    assert await line.run(1, lambda _: "again") == "again"


async def test_a_line_is_bounded_in_bytes_too() -> None:
    line = Line(threads=1, waiting=100, waiting_bytes=10)
    assert await line.run(50, lambda _: "alone") == "alone", "a free thread takes any request"
    task, slow = await started(line)
    waiting = asyncio.create_task(line.run(8, lambda _: "next"))
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await line.run(3, lambda _: "refused")
    slow.end.set()
    assert (await task, await waiting) == ("done", "next")


async def test_whoever_leaves_the_line_is_never_computed() -> None:
    line = Line(threads=1, waiting=1, waiting_bytes=100)
    computed: list[Any] = []
    task, slow = await started(line)
    waiting = asyncio.create_task(line.run(1, computed.append))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    next_one = asyncio.create_task(line.run(1, lambda _: "next"))
    slow.end.set()
    assert (await task, await next_one, computed) == ("done", "next", [])


async def test_work_under_way_is_told_and_keeps_its_thread() -> None:
    line = Line(threads=1, waiting=1, waiting_bytes=100)
    task, slow = await started(line)
    task.cancel()
    next_one = asyncio.create_task(line.run(1, lambda _: "next"))
    await asyncio.sleep(0.05)
    assert not next_one.done(), "the thread is not free yet"
    slow.end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await next_one, slow.wanted) == ("next", False)


async def test_a_client_that_leaves_ends_its_work() -> None:
    left, given_up = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def work() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            given_up.set()
            raise
        return "answer"

    asking = asyncio.create_task(unless_left(receive, work()))
    await asyncio.sleep(0)
    left.set()
    assert await asking is None
    assert given_up.is_set()
    left.clear()
    assert await unless_left(receive, asyncio.sleep(0, "answer")) == "answer"


def test_no_further_batch_for_those_who_left(version: Path) -> None:
    classifier, asked = Predictor(load(complete(version)), batch_rows=2), []

    def wanted() -> bool:
        asked.append(1)
        return len(asked) < 3

    with pytest.raises(Left):
        classifier.predict(["good"] * 20, wanted)
    assert len(asked) == 3


@pytest.fixture(scope="module")
def busy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One CPU, and one request may wait."""
    folder = tmp_path_factory.mktemp("busy")
    (folder / "version").mkdir()
    server = Server(folder, complete(write_version(folder / "version")), {"MODELYARD_MAX_WAITING": "1"})
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})  # the server predicts in as many threads as it may use CPUs
    try:
        server.start()
    finally:
        os.sched_setaffinity(0, allowed)
    yield server
    server.process.stop()


def test_a_busy_server_says_so(busy_server: Server) -> None:
    heavy, seen = {"instances": ["good " * 500] * 256}, threading.Event()
    codes, told = set[int](), list[Answer]()

    def press() -> None:
        while not seen.is_set():
            codes.add(busy_server.v1(heavy).code)

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: refused_by_rest(busy_server, told), "a refusal by REST", 60, pause=0.01)
        wait_until(lambda: refused_by_grpc(busy_server), "a refusal by gRPC", 60, pause=0.01)
        assert busy_server.get("/v2/health/ready").code == 200
    finally:
        seen.set()
        for thread in threads:
            thread.join()
    assert told[-1].headers["retry-after"] == "1"
    assert "1 requests are waiting already" in told[-1].body["error"]
    assert codes <= {200, 429}
    assert refused(busy_server) >= 2
    assert busy_server.v1({"instances": ["good"]}).code == 200
    assert "Traceback" not in busy_server.log()


def refused_by_rest(server: Server, told: list[Answer]) -> bool:
    told.append(server.v1({"instances": ["good"]}))
    assert told[-1].code in (200, 429)
    return told[-1].code == 429


def refused_by_grpc(server: Server) -> bool:
    try:
        with grpc_stub(server) as stub:
            stub.ModelInfer(pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a")]), timeout=30)
    except grpc.RpcError as fault:
        assert fault.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, fault.details()
        return True
    return False


def test_clients_that_hang_up_are_no_fault(busy_server: Server) -> None:
    before = codes_of(busy_server)
    body = b'{"instances": ["' + b"good " * 1_000_000 + b'"]}'
    head = b"POST /v1/models/reviews:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for sent in (head + body, head + body[:1000]):
        with socket.create_connection(("127.0.0.1", busy_server.port)) as client:
            client.sendall(sent)
    deadline = time.monotonic() + 10
    while codes_of(busy_server).get("499", 0) <= before.get("499", 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    found = codes_of(busy_server)
    assert found.get("499", 0) > before.get("499", 0)
    assert found.get("500", 0) == before.get("500", 0)
    assert "Traceback" not in busy_server.log()


def refused(server: Server) -> float:
    text = server.get("/metrics").body.decode()
    found = re.search(r"^modelyard_server_refused_total (\S+)$", text, re.M)
    assert found is not None
    return float(found[1])


def codes_of(server: Server) -> dict[str, float]:
    text = server.get("/metrics").body.decode()
    found = re.findall(r'modelyard_server_requests_total\{code="(\d+)",protocol="v1"\} (\S+)', text)
    return {code: float(count) for code, count in found}


async def test_requests_are_read_and_answers_written_beside_the_event_loop(version: Path) -> None:
    """A large answer must not keep health checks waiting."""
    model = ServedModel("reviews", "7", Predictor(load(complete(version))), 256, Line(1, 1, 100))
    where: list[str] = []

    def read() -> Question:
        where.append(threading.current_thread().name)
        return Question(["good"])

    def write(_: Question, found: list[Any]) -> str:
        where.append(threading.current_thread().name)
        return str(found[0]["label"])

    assert await model.predict(Asked(1, read, write)) == "positive"
    assert where == ["predict_0", "predict_0"]
