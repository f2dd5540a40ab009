"""Answers that are written token by token: by V1, V2, gRPC and the OpenAI API; together, streamed, left and refused."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kserve import InferInput, InferRequest, InferResponse

from dev.localcluster.waiting import wait_until
from tests.server.conftest import Server
from tests.server.speakers import CONTEXT, SAMPLE, write
from tests.server.test_grpc import grpc_stub

SETTINGS = {"MODELYARD_MAX_WRITING": "3", "MODELYARD_MAX_WAITING": "2", "MODELYARD_MOST_SECONDS": "20"}
FOREVER = {"messages": [{"role": "user", "content": "immer"}], "max_tokens": CONTEXT - 10}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    version = write(tmp_path_factory.mktemp("speaker"))
    found = Server(tmp_path_factory.mktemp("server"), version, SETTINGS)
    found.start()
    yield found
    found.process.stop()


@pytest.fixture
def client(server: Server) -> Any:
    openai = pytest.importorskip("openai", reason="the client is not installed here")
    return openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key="none", max_retries=0, timeout=60)


def asked(text: str, **settings: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **settings}


def writing(server: Server) -> float:
    return figure(server, "modelyard_server_writing_answers")


def figure(server: Server, name: str) -> float:
    lines = server.get("/metrics").body.decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def test_v1(server: Server) -> None:
    answer = server.v1({"instances": [asked("eins drei"), asked("vier"), {"prompt": "zwei"}, "eins zwei drei vier"]})
    assert answer.code == 200, answer
    found = answer.body["predictions"]
    assert [one["text"] for one in found] == ["zwei vier", "eins zwei drei", "eins drei vier", ""]
    assert {one["finish_reason"] for one in found} == {"stop"}
    assert [one["tokens"] for one in found] == [3, 4, 4, 1]


def test_v1_takes_settings(server: Server) -> None:
    rows = [asked("vier", max_tokens=2), asked("vier", stop=["drei"]), asked("vier", temperature=2.0, seed=1)]
    found = server.v1({"instances": rows}).body["predictions"]
    assert found[0]["text"] == "eins zwei" and found[0]["finish_reason"] == "length"
    assert found[1]["text"] == "eins zwei " and found[1]["finish_reason"] == "stop"
    assert sorted(found[2]["text"].split()) == ["drei", "eins", "zwei"]


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        ({"text": "x"}, "row 0 must have either 'messages' or 'prompt'"),
        (asked("x", max_tokens="many"), "max_tokens"),
        ({"messages": [{"role": "king", "content": "x"}]}, "in turn"),
    ],
)
def test_v1_says_what_is_wrong(server: Server, instance: Any, said: str) -> None:
    answer = server.v1({"instances": [instance]})
    assert answer.code == 400 and said in answer.body["error"]


def test_v2_and_grpc(server: Server) -> None:
    data = ["vier", json.dumps(asked("eins")["messages"])]
    answer = server.v2({"inputs": [{"name": "messages", "shape": [2], "datatype": "BYTES", "data": data}]})
    assert answer.code == 200, answer
    outputs = {output["name"]: output["data"] for output in answer.body["outputs"]}
    assert outputs["text"] == ["eins zwei drei", "zwei drei vier"] and outputs["tokens"] == [4, 4]
    data = [json.dumps(value) for value in SAMPLE.values()]  # as the operator asks a new version
    assert list(SAMPLE) == ["messages"]
    answer = server.v2({"inputs": [{"name": "messages", "shape": [1], "datatype": "BYTES", "data": data}]})
    assert {output["name"]: output["data"] for output in answer.body["outputs"]}["text"] == ["zwei drei"]
    request = InferRequest("reviews", [InferInput("messages", [1], "BYTES", [b"vier"])]).to_grpc()
    with grpc_stub(server) as stub:
        found = InferResponse.from_grpc(stub.ModelInfer(request, timeout=10))
    assert found.outputs[0].as_numpy().tolist() == [b"eins zwei drei"]


def test_answers_are_the_same_among_others_as_alone(server: Server) -> None:
    texts = ["vier", "eins drei", "zwei", "eins", "zwei drei", "drei vier eins"]
    alone = [server.v1({"instances": [asked(text)]}).body["predictions"][0] for text in texts]
    assert [one["text"] for one in alone][:2] == ["eins zwei drei", "zwei vier"]

    def again(text: str) -> Any:
        return server.v1({"instances": [asked(text)]})

    with ThreadPoolExecutor(3) as pool:
        for answer, text, before in zip(pool.map(again, texts * 5), texts * 5, alone * 5, strict=True):
            assert answer.body["predictions"][0]["text"] == before["text"], text


def test_openai_models(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["reviews"]
    assert client.models.retrieve("reviews").owned_by == "modelyard"


def test_openai_chat(client: Any) -> None:
    found = client.chat.completions.create(model="reviews", temperature=0, **asked("vier"))
    assert found.choices[0].message.content == "eins zwei drei"
    assert found.choices[0].finish_reason == "stop"
    assert found.usage.prompt_tokens == 3 and found.usage.completion_tokens == 4
    long = client.chat.completions.create(model="reviews", temperature=0, max_completion_tokens=2, **asked("vier"))
    assert (long.choices[0].message.content, long.choices[0].finish_reason) == ("eins zwei", "length")


def test_openai_completions(client: Any) -> None:
    found = client.completions.create(model="reviews", prompt="zwei", temperature=0)
    assert found.choices[0].text == "eins drei vier"
    parts = client.completions.create(model="reviews", prompt=["zwei"], temperature=0, stream=True, stop="vier")
    told = [(part.choices[0].text, part.choices[0].finish_reason) for part in parts]
    assert "".join(text for text, _ in told) == "eins drei " and told[-1][1] == "stop"


def test_openai_streams(client: Any) -> None:
    settings = {"temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
    parts = list(client.chat.completions.create(model="reviews", **settings, **asked("vier")))
    assert parts[0].choices[0].delta.role == "assistant"
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == "eins zwei drei"
    assert [part.choices[0].finish_reason for part in parts if part.choices][-1] == "stop"
    assert parts[-1].usage.completion_tokens == 4


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"model": "other", **asked("x")}, 404, "model_not_found"),
        ({"model": "reviews", **asked("x"), "n": 2}, 400, "'n' is not supported"),
        ({"model": "reviews", **asked("x"), "tools": [{"type": "function"}]}, 400, "'tools' is not supported"),
        ({"model": "reviews", "messages": []}, 400, "messages"),
        ({"model": "reviews", **asked("x"), "temperature": 9}, 400, "temperature"),
        ({"model": "reviews", **asked("eins " * CONTEXT)}, 400, "context_length_exceeded"),
        ({"model": "reviews", "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
         400, "ends with the assistant"),
        ([], 400, "must be a JSON object"),
        (b"{", 400, "not JSON"),
    ],
)  # fmt: skip
def test_errors_have_the_form_of_the_api(server: Server, body: Any, code: int, said: str) -> None:
    answer = server.send("/openai/v1/chat/completions", body)
    assert answer.code == code, answer
    fault = answer.body["error"]
    assert set(fault) == {"message", "type", "param", "code"} and fault["type"] == "invalid_request_error"
    assert said in json.dumps(fault)


def stream(server: Server) -> http.client.HTTPConnection:
    """A request that would take long, of which the first part has come."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    body = json.dumps({"model": "reviews", "stream": True, "temperature": 0, **FOREVER})
    connection.request("POST", "/openai/v1/chat/completions", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    while b"eins" not in answer.readline():
        pass
    connection.answer = answer  # type: ignore[attr-defined]
    return connection


def leave(connection: http.client.HTTPConnection) -> None:
    connection.answer.close()  # type: ignore[attr-defined]
    connection.close()


def test_others_are_answered_meanwhile_and_a_place_is_free_once_its_client_left(server: Server) -> None:
    wait_until(lambda: writing(server) == 0, "nothing to be written", 20)
    kept = [stream(server) for _ in range(2)]
    assert server.v1({"instances": [asked("vier")]}).body["predictions"][0]["text"] == "eins zwei drei"
    third = stream(server)
    assert writing(server) == 3
    for connection in [*kept, third]:
        leave(connection)
    wait_until(lambda: writing(server) == 0, "free places", 5)  # the answers would take till their deadline


def test_too_many_are_refused_at_once(server: Server) -> None:
    wait_until(lambda: writing(server) == 0, "nothing to be written", 20)
    kept = [stream(server) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        body = {"model": "reviews", "max_tokens": 2, **asked("vier")}
        sent = [pool.submit(server.send, "/openai/v1/chat/completions", body) for _ in range(4)]
        wait_until(lambda: sum(one.done() for one in sent) >= 2, "refusals", 10)
        refused = [one.result() for one in sent if one.done()]
        assert {one.code for one in refused} == {429}
        assert refused[0].headers["retry-after"] == "1"
        assert refused[0].body["error"]["type"] == "rate_limit_error"
        for connection in kept:
            leave(connection)
        assert sorted(one.result().code for one in sent) == [200, 200, 429, 429]


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    found = Server(tmp_path, write(_made(tmp_path / "version")), {"MODELYARD_MOST_SECONDS": "0.5"})
    found.start()
    try:
        assert found.v1({"instances": [FOREVER]}).code == 504
        answer = found.send("/openai/v1/chat/completions", {"model": "reviews", **FOREVER})
        assert answer.code == 504 and "in time" in answer.body["error"]["message"]
        assert found.v1({"instances": [asked("vier")]}).code == 200
    finally:
        found.process.stop()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
