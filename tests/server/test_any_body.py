"""No request body makes any route answer that the server is at fault: bodies of any type, shape and text."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from tests.server.conftest import Server

MANY = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
PREDICT, INFER = "/v1/models/reviews:predict", "/v2/models/reviews/infer"
ROUTES = (
    *((method, path) for method in ("GET", "POST") for path in (PREDICT, INFER)),
    ("POST", "/v2/models/reviews/versions/7/infer"),
    ("POST", "/v2/models/reviews/versions/99999999999999999999/infer"),
    ("POST", "/v1/models/other:predict"),
    ("POST", "/v2/models/other/infer"),
    ("POST", "/v2/models/%00/infer"),
    ("POST", "/v2/repository/models/reviews/load"),
    ("POST", "/v2/repository/models/%ff/unload"),
    ("GET", "/v2/models/reviews"),
    ("GET", "/v2/models/reviews/versions/7"),
    ("GET", "/v2/models/reviews/versions/x/ready"),
    ("GET", "/v2/models/reviews/ready"),
    ("GET", "/v2/models"),
    ("GET", "/v1/models"),
    ("GET", "/v2"),
    ("GET", "/metrics"),
    ("GET", "/"),
    ("PUT", INFER),
    ("DELETE", "/v2/models/reviews"),
    ("POST", "/nothing/%2e%2e/here"),
    ("OPTIONS", PREDICT),
)
EXPLAIN = ("POST", "/v1/models/reviews:explain")
"""Not implemented, and says so: 501."""

texts = st.one_of(
    st.text(st.characters(), max_size=40),
    st.sampled_from(("", "</s>", "[PAD]", "\0", "\ud800", "good \udfff", "\u202e", "\ufeff", "9" * 5000, "good")),
)
numbers = st.one_of(st.integers(), st.sampled_from((10**30, -(10**30), 2**63, 2**64, -1, 0)), st.floats())
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=12,
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual kind three times out of four, else anything."""
    return st.one_of(usual, usual, usual, values)


parameters = st.dictionaries(
    st.one_of(st.sampled_from(("binary_data", "binary_data_size", "binary_data_output")), texts), mostly(scalars)
)
tensors = st.fixed_dictionaries(
    {
        "name": mostly(st.just("text")),
        "shape": mostly(st.lists(st.integers(-1, 4), max_size=3)),
        "datatype": mostly(st.sampled_from(("BYTES", "BYTES", "FP32", "FP16", "INT64", "BOOL", "bytes"))),
    },
    optional={"data": mostly(st.lists(mostly(texts), max_size=4)), "parameters": mostly(parameters)},
)
v1_bodies = st.fixed_dictionaries(
    {"instances": mostly(st.lists(mostly(st.one_of(texts, st.fixed_dictionaries({"text": mostly(texts)})))))},
    optional={"parameters": values, "specversion": st.just("1.0"), "type": texts, "source": texts, "id": values},
)
v2_bodies = st.fixed_dictionaries(
    {"inputs": mostly(st.lists(mostly(tensors), min_size=1, max_size=2))},
    optional={
        "id": mostly(texts),
        "parameters": mostly(parameters),
        "outputs": mostly(
            st.lists(
                mostly(
                    st.fixed_dictionaries(
                        {"name": mostly(st.sampled_from(("label", "score", "scores", "logits")))},
                        optional={"parameters": mostly(parameters)},
                    )
                ),
                max_size=4,
            )
        ),
    },
)
json_bodies = st.one_of(v1_bodies, v2_bodies, values).map(lambda body: json.dumps(body).encode())
bodies = st.one_of(json_bodies, json_bodies, json_bodies, st.binary(max_size=200))
tails = st.one_of(st.just(b""), st.just(b"\x04\x00\x00\x00good"), st.binary(max_size=30))
kinds = st.sampled_from(
    (
        "application/json",
        "application/json",
        "application/octet-stream",
        "text/plain",
        "application/cloudevents+json",
        "",
    )
)
events = st.fixed_dictionaries(
    {},
    optional={
        "ce-specversion": st.sampled_from(("1.0", "0.3", "x")),
        "ce-type": st.just("x"),
        "ce-source": st.just("x"),
        "ce-id": st.just("1"),
        "ce-contenttype": st.sampled_from(("application/json", "x")),
    },
)
Ask = Callable[..., tuple[int, bytes]]


@pytest.fixture(scope="module")
def ask(server: Server) -> Iterator[Ask]:
    """Send a request over a kept connection; gives status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def send(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    yield send
    connection.close()


def no_fault(code: int, body: bytes) -> None:
    assert code < 500, (code, body)
    if code >= 400:
        assert json.loads(body).keys() & {"error", "detail"}, (code, body)


@MANY
@given(route=st.sampled_from(ROUTES), body=bodies, kind=kinds, more=events)
def test_any_route(ask: Ask, route: tuple[str, str], body: bytes, kind: str, more: dict[str, str]) -> None:
    no_fault(*ask(*route, body, {**more, **({"content-type": kind} if kind else {})}))


@MANY
@given(body=v1_bodies, more=st.one_of(st.just({}), events))
def test_v1(ask: Ask, body: Any, more: dict[str, str]) -> None:
    no_fault(*ask("POST", PREDICT, json.dumps(body).encode(), {"content-type": "application/json", **more}))


@MANY
@given(body=v2_bodies, kind=kinds)
def test_v2(ask: Ask, body: Any, kind: str) -> None:
    no_fault(*ask("POST", INFER, json.dumps(body).encode(), {"content-type": kind} if kind else {}))


@MANY
@given(body=v2_bodies, tail=tails, shift=st.sampled_from((0, 0, 0, 0, 1, -1, 10**9, -(10**6))))
def test_v2_with_binary_tensors(ask: Ask, body: Any, tail: bytes, shift: int) -> None:
    head = json.dumps(body).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head) + shift)}
    no_fault(*ask("POST", INFER, head + tail, headers))


@settings(MANY, max_examples=50)
@given(body=bodies)
def test_what_is_not_implemented_says_so(ask: Ask, body: bytes) -> None:
    code, told = ask(*EXPLAIN, body, {"content-type": "application/json"})
    assert code in (400, 501), (code, told)


grpc_parameters = st.dictionaries(
    st.text(max_size=5),
    st.one_of(
        st.builds(pb.InferParameter, bool_param=st.booleans()),
        st.builds(pb.InferParameter, int64_param=st.integers(-(2**63), 2**63 - 1)),
        st.builds(pb.InferParameter, string_param=st.text(max_size=5)),
        st.just(pb.InferParameter()),
    ),
    max_size=2,
)
contents = st.builds(
    pb.InferTensorContents,
    bytes_contents=st.lists(st.binary(max_size=9), max_size=4),
    fp32_contents=st.lists(st.floats(width=32), max_size=2),
)
grpc_inputs = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=st.sampled_from(("text", "text", "text", "", "other")),
    datatype=st.sampled_from(("BYTES", "BYTES", "BYTES", "FP32", "FP16", "", "x")),
    shape=st.lists(st.integers(-2, 4), max_size=3),
    parameters=grpc_parameters,
    contents=st.one_of(st.none(), contents),
)
grpc_requests = st.builds(
    pb.ModelInferRequest,
    model_name=st.sampled_from(("reviews", "reviews", "reviews", "other", "")),
    model_version=st.sampled_from(("", "", "7", "8")),
    id=st.text(max_size=5),
    parameters=grpc_parameters,
    inputs=st.lists(grpc_inputs, max_size=2),
    outputs=st.lists(
        st.builds(
            pb.ModelInferRequest.InferRequestedOutputTensor,
            name=st.sampled_from(("label", "score", "scores", "x")),
            parameters=grpc_parameters,
        ),
        max_size=3,
    ),
    raw_input_contents=st.lists(st.one_of(tails, st.binary(max_size=12)), max_size=2),
)
METHODS = ("ModelInfer", "ModelMetadata", "ModelReady", "ServerMetadata", "RepositoryModelLoad", "Nothing")


@pytest.fixture(scope="module")
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield channel


@MANY
@given(method=st.sampled_from(METHODS), data=st.one_of(grpc_requests.map(lambda r: r.SerializeToString()), st.binary()))
def test_grpc(channel: grpc.Channel, method: str, data: bytes) -> None:
    call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
    try:
        call(data, timeout=30)
    except grpc.RpcError as fault:
        assert fault.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (fault.code(), fault.details())


def test_the_server_lives_and_nothing_was_its_fault(server: Server, ask: Ask) -> None:
    code, body = ask("POST", PREDICT, b'{"instances": ["good", "</s>", "\\u0000", ""]}', {})
    assert code == 200
    assert json.loads(body)["predictions"][0]["label"] == "positive"
    assert "Traceback" not in server.log()
