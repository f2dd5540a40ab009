"""A server that was asked to end goes on answering for a while, and lets go of kept connections with an answer."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.localcluster.waiting import wait_until
from tests.server.conftest import Server, complete

BODY = b'{"instances": ["good"]}'


@pytest.fixture
def leaving(version: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, complete(version), {"MODELYARD_DRAIN_SECONDS": "30"})
    server.start()
    yield server
    os.kill(pid(server), signal.SIGKILL)


def pid(server: Server) -> int:
    process = server.process._process
    assert process is not None
    return process.pid


def ask(connection: http.client.HTTPConnection) -> tuple[int, bool]:
    """Code, and whether the connection is given up."""
    connection.request("POST", "/v1/models/reviews:predict", BODY, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.will_close


def test_kept_connections_end_with_an_answer(leaving: Server) -> None:
    kept, other = (http.client.HTTPConnection("127.0.0.1", leaving.port, timeout=10) for _ in range(2))
    assert [ask(kept), ask(kept), ask(other)] == [(200, False)] * 3
    os.kill(pid(leaving), signal.SIGTERM)
    wait_until(lambda: leaving.get("/v2/health/ready").code != 200, "the server's word that it is leaving", 10)
    assert [ask(kept), ask(other)] == [(200, True)] * 2
    assert ask(http.client.HTTPConnection("127.0.0.1", leaving.port, timeout=10)) == (200, True)
