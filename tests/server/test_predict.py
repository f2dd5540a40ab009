"""What the server answers, over the wire, and how it starts and ends."""

import http.client
import json
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest

from tests.server.conftest import Answer, Server, complete
from tests.server.version import LABELS, write_version

ROWS = {"good good so": "positive", "bad": "negative", "fine so": "neutral"}


def v2_body(*texts: str, **changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts), **changes}]}


@pytest.mark.parametrize("form", [lambda text: {"text": text}, lambda text: text])
def test_v1(server: Server, form: Any) -> None:
    answer = server.v1({"instances": [form(text) for text in ROWS]})
    assert (answer.code, answer.body["version"], answer.headers["x-modelyard-version"]) == (200, "7", "7")
    assert [row["label"] for row in answer.body["predictions"]] == list(ROWS.values())
    for row in answer.body["predictions"]:
        assert list(row["scores"]) == LABELS
        assert row["score"] == row["scores"][row["label"]] == max(row["scores"].values())
        assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_address_answers(server: Server, host: str) -> None:
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine knows no IPv6")
    connection = http.client.HTTPConnection(host, server.port, timeout=10)
    connection.request("GET", "/v2/health/ready")
    assert connection.getresponse().status == 200


def test_v2(server: Server) -> None:
    answer = server.v2({"id": "42", **v2_body(*ROWS)})
    assert answer.code == 200, answer
    outputs = {output["name"]: output for output in answer.body["outputs"]}
    assert (answer.body["id"], answer.body["model_name"], answer.body["model_version"]) == ("42", "reviews", "7")
    assert outputs["label"]["data"] == list(ROWS.values())
    assert [(o["datatype"], o["shape"]) for o in outputs.values()] == [("BYTES", [3]), ("FP32", [3]), ("FP32", [3, 3])]
    assert max(outputs["scores"]["data"][:3]) == outputs["score"]["data"][0]


def test_v2_with_a_column_and_chosen_outputs(server: Server) -> None:
    body = v2_body("good", "bad", shape=[2, 1], data=[["good"], ["bad"]])
    answer = server.v2({**body, "outputs": [{"name": "label"}]})
    assert [output["data"] for output in answer.body["outputs"]] == [["positive", "negative"]]


def test_a_cloud_event_is_answered_as_one(server: Server) -> None:
    event = {"ce-specversion": "1.0", "ce-type": "x", "ce-source": "y", "ce-id": "1"}
    answer = server.send("/v1/models/reviews:predict", {"instances": ["good"]}, event)
    assert (answer.code, answer.body["predictions"][0]["label"]) == (200, "positive")
    assert answer.headers["ce-type"] == "io.kserve.inference.response"


def test_v2_binary(server: Server) -> None:
    text = InferInput("text", [1], "BYTES")
    text.set_data_from_numpy(np.array([b"so bad"], dtype=np.object_), binary_data=True)
    data, length = InferRequest("reviews", [text]).to_rest()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(length)}
    answer = server.send("/v2/models/reviews/infer", data, headers)
    assert answer.body["outputs"][0]["data"] == ["negative"]


def test_many_rows_of_any_length_keep_their_order(server: Server) -> None:
    texts = [" ".join(["so"] * (n % 9) + ["good" if n % 2 else "bad"] * 6) for n in range(200)]
    answer = server.v1({"instances": texts})
    assert [row["label"] for row in answer.body["predictions"]] == ["negative", "positive"] * 100
    alone = server.v1({"instances": [texts[3]]}).body["predictions"][0]
    assert answer.body["predictions"][3]["scores"] == pytest.approx(alone["scores"], abs=1e-6)


def test_long_texts_are_cut_and_empty_ones_answered(server: Server) -> None:
    long, empty = server.v1({"instances": ["good " * 16 + "bad " * 5000, ""]}).body["predictions"]
    assert long["label"] == "positive"
    assert empty["score"] == pytest.approx(1 / 3)


V1_FAULTS: list[tuple[Any, str]] = [
    (b"{", "JSON|format"),
    (b"", "JSON|format"),
    (b"\xff\xfe", "JSON|format"),
    (b"[" * 100_000, ""),
    ([], "JSON object"),
    ("text", "JSON object"),
    (None, ""),
    ({}, "no 'instances'"),
    ({"inputs": ["a"]}, "no 'instances'"),
    ({"instances": "text"}, "must be a list"),
    ({"instances": None}, "must be a list"),
    ({"instances": []}, "no rows"),
    ({"instances": ["a"] * 257}, "at most 256"),
    ({"instances": ["a", 5]}, "row 1 must be a string, not int"),
    ({"instances": [None]}, "row 0 must be a string"),
    ({"instances": [["a"]]}, "row 0 must be a string"),
    ({"instances": [{"body": "a"}]}, "row 0 has no 'text'"),
    ({"instances": [{"text": None}]}, "row 0 must be a string"),
    ({"instances": [{"text": {"text": "a"}}]}, "row 0 must be a string"),
    (b'{"instances": ["\\ud800"]}', "Unicode|surrogate|format"),
    ({"specversion": "1.0", "type": "x", "source": "x", "id": "x"}, ""),
    ({"specversion": "1.0", "type": "x", "source": "x", "id": "x", "data": 5}, ""),
]


@pytest.mark.parametrize(("body", "message"), V1_FAULTS, ids=range(len(V1_FAULTS)))
def test_bad_v1_requests(server: Server, body: Any, message: str) -> None:
    refused(server.v1(b"null" if body is None else body), message)


V2_FAULTS: list[tuple[Any, str]] = [
    (b"{", "not JSON.*Content-Type header is application/json"),
    (b"[" * 100_000, ""),
    ({}, "inputs"),
    ([], "not valid"),
    ({"inputs": []}, "exactly one input tensor"),
    ({"inputs": "text"}, "not valid"),
    ({"inputs": [v2_body("a")["inputs"][0]] * 2}, "exactly one input tensor"),
    (v2_body("a", name="texts"), r"but got \['texts'\]"),
    (v2_body("a", name=5), "not valid"),
    (v2_body("a", datatype="FP32"), "datatype BYTES, not FP32"),
    (v2_body("a", datatype="WORDS"), "datatype BYTES"),
    (v2_body("a", shape=[2]), "does not fit"),
    (v2_body("a", shape=[1, 2]), "shape"),
    (v2_body("a", shape=[]), "shape"),
    (v2_body("a", shape=[-1]), "shape"),
    (v2_body("a", shape=[10**18]), "fit|shape"),
    (v2_body("a", shape=[10**30]), ""),
    (v2_body("a", shape="1"), "not valid"),
    (v2_body(shape=[0]), "no rows"),
    (v2_body(*["a"] * 257), "at most 256"),
    (v2_body("a", data=[5]), "must be a string"),
    (v2_body("a", data=[None]), "must be a string"),
    (v2_body("a", data=[["a"], "b"], shape=[2]), ""),
    (v2_body("a", data="a"), "not valid"),
    ({**v2_body("a"), "outputs": [{"name": "logits"}]}, "no output 'logits'"),
    (b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["\\ud800"]}]}', "Unicode|surrogate"),
]


@pytest.mark.parametrize(("body", "message"), V2_FAULTS, ids=range(len(V2_FAULTS)))
def test_bad_v2_requests(server: Server, body: Any, message: str) -> None:
    refused(server.v2(body), message)


@pytest.mark.parametrize("length", ["x", "-1", "0", "5", "99999"])
@pytest.mark.parametrize("parameters", [5, {"binary_data_size": "x"}, {"binary_data_size": 3}, {}])
def test_bad_binary_requests(server: Server, length: str, parameters: Any) -> None:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": parameters}
    data = json.dumps({"inputs": [tensor]}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": length}
    refused(server.send("/v2/models/reviews/infer", data + b"\xff\xff\xff", headers), "")


def test_other_content_types(server: Server) -> None:
    body = {"instances": ["good"]}
    for kind in ("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"):
        assert server.send("/v1/models/reviews:predict", body, {"content-type": kind}).code == 200
    refused(server.send("/v1/models/reviews:predict", b"a=b", {"content-type": "text/plain"}), "not JSON")


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"])
def test_v2_as_json_needs_no_content_type(server: Server, kind: str) -> None:
    """An empty one is as none: `curl -d` sends another than JSON."""
    answer = server.send("/v2/models/reviews/infer", v2_body("good"), {"content-type": kind})
    assert (answer.code, answer.body["outputs"][0]["data"]) == (200, ["positive"])
    refused(
        server.send("/v2/models/reviews/infer", b"\x01\x02", {"content-type": kind}),
        rf"Content-Type header is {kind or 'none'}: send application/json.*Inference-Header-Content-Length",
    )


def test_what_the_server_says_of_itself_is_true(server: Server) -> None:
    assert server.get("/v2").body["extensions"] == ["binary_tensor_data"]
    of_model, of_version = server.get("/v2/models/reviews"), server.get("/v2/models/reviews/versions/7")
    assert (of_model.code, of_version.code) == (200, 200)
    assert of_model.body == of_version.body
    assert (of_model.body["versions"], of_model.body["platform"]) == (["7"], "onnxruntime_onnx")
    assert [tensor["name"] for tensor in of_model.body["outputs"]] == ["label", "score", "scores"]


def test_a_version_is_asked_by_its_number(server: Server) -> None:
    assert server.get("/v2/models/reviews/versions/7/ready").body == {"name": "reviews", "ready": True}
    answer = server.send("/v2/models/reviews/versions/7/infer", v2_body("good"))
    assert (answer.code, answer.body["model_version"]) == (200, "7")
    for path, body in (("", None), ("/ready", None), ("/infer", v2_body("good"))):
        other = server.send(f"/v2/models/reviews/versions/6{path}", body)
        assert other.code == 404
        assert other.body["error"] == "version '6' of 'reviews' is not served here, only '7'"
    assert server.send("/v2/models/other/versions/7/infer", v2_body("good")).code == 404


def refused(answer: Answer, message: str) -> None:
    assert answer.code == 400, answer
    assert isinstance(answer.body["error"], str)
    assert re.search(message, answer.body["error"]), answer.body


@pytest.mark.parametrize("path", ["/v1/models/reviews:predict", "/v2/models/reviews/infer"])
def test_a_body_too_large_is_413(server: Server, path: str) -> None:
    answer = server.send(path, b"x" * ((8 << 20) + 1))
    assert answer.code == 413
    assert "larger than 8388608 bytes" in answer.body["error"]


@pytest.mark.parametrize("path", ["/v1/models/reviews:predict", "/v2/models/reviews/infer"])
def test_a_body_without_length_is_413_too(server: Server, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    chunks = (b"x" * (1 << 20) for _ in range(9))
    connection.request("POST", path, chunks, {"content-type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        ("/v2/models/reviews/ready", 200),
        ("/v2/models/reviews", 200),
        ("/v1/models/reviews", 200),
        ("/v2/models/other/ready", 404),
        ("/v1/models/other", 404),
        ("/nothing", 404),
        ("/v1/models/reviews:predict", 404),
    ],
)
def test_health(server: Server, path: str, code: int) -> None:
    assert server.get(path).code == code


def test_nobody_unloads_the_version(server: Server) -> None:
    for verb in ("unload", "load"):
        refused(server.send(f"/v2/repository/models/reviews/{verb}", {}), "change the ModelDeployment")
    assert server.get("/v2/models/reviews/ready").code == 200


def test_metrics_and_a_quiet_log(server: Server) -> None:
    server.v1({"instances": ["good"]})
    server.v1({})
    text = server.get("/metrics").body.decode()
    for line in (
        'modelyard_server_requests_total{code="200",protocol="v1"}',
        'modelyard_server_requests_total{code="400",protocol="v1"}',
        'modelyard_server_request_seconds_bucket{le="0.005",protocol="v1"}',
        "modelyard_server_rows_total",
        'modelyard_server_model_info{model="reviews",run="run-1",version="7"} 1.0',
        "modelyard_server_start_seconds",
    ):
        assert line in text, line
    assert "Traceback" not in server.log()
    assert "predict" not in server.log()
    assert "grpc" not in server.log()


def test_it_ends_gracefully(tmp_path: Path) -> None:
    (tmp_path / "version").mkdir()
    server = Server(tmp_path, complete(write_version(tmp_path / "version")), {"MODELYARD_DRAIN_SECONDS": "1"})
    server.start()
    process = server.process._process
    assert process is not None
    codes: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            codes.append(server.v1({"instances": ["good"]}).code)

    asking = threading.Thread(target=ask)
    process.send_signal(signal.SIGTERM)
    asking.start()
    time.sleep(0.5)
    assert server.get("/v2/health/ready").code == 503
    assert server.get("/v2/health/live").code == 200
    ended.set()
    asking.join()
    assert set(codes) == {200}
    assert process.wait(10) == 0, server.log()
