"""The Open Inference Protocol over gRPC, spoken by the SDK's own client code."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from tests.server.conftest import Server


def test_grpc(server: Server) -> None:
    request = InferRequest("reviews", [InferInput("text", [2], "BYTES", [b"good", b"bad"])]).to_grpc()
    with grpc_stub(server) as stub:
        answer = stub.ModelInfer(request, timeout=10)
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="reviews"), timeout=10)
        assert list(stub.ServerMetadata(pb.ServerMetadataRequest(), timeout=10).extensions) == ["binary_tensor_data"]
        assert stub.ServerReady(pb.ServerReadyRequest(), timeout=10).ready
        assert stub.ModelReady(pb.ModelReadyRequest(name="reviews"), timeout=10).ready
    assert (answer.model_name, answer.model_version, answer.outputs[0].name) == ("reviews", "7", "label")
    assert InferResponse.from_grpc(answer).outputs[0].as_numpy().tolist() == [
        b"positive",
        b"negative",
    ]
    assert (list(metadata.versions), metadata.platform) == (["7"], "onnxruntime_onnx")
    assert [(tensor.name, tensor.datatype) for tensor in metadata.inputs] == [("text", "BYTES")]


def test_grpc_with_the_texts_in_contents(server: Server) -> None:
    request = pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"bad")])
    with grpc_stub(server) as stub:
        answer = stub.ModelInfer(request, timeout=10)
    assert InferResponse.from_grpc(answer).outputs[0].as_numpy().tolist() == [b"negative"]


GRPC_FAULTS: list[tuple[Any, str]] = [
    (pb.ModelInferRequest(model_name="reviews"), "exactly one input tensor"),
    (lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a", name="texts")]), r"\['texts'\]"),
    (lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a", datatype="FP32")]), "BYTES"),
    (lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a", datatype="WORDS")]), "WORDS"),
    (lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a", shape=[2])]), "does not fit"),
    (lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a", shape=[-1])]), "shape"),
    (lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"\xff")]), "not valid Unicode"),
    (lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(*[b"a"] * 257)]), "at most 256"),
    (lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor()]), "no rows|fit"),
    (
        lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a")], outputs=[{"name": "logits"}]),
        "no output 'logits'",
    ),
    (
        lambda: pb.ModelInferRequest(
            model_name="reviews", inputs=[grpc_tensor(b"a")], raw_input_contents=[b"\xff\xff\xff", b"x"]
        ),
        "number of inputs",
    ),
    (lambda: raw_request(b"\xff\xff\xff\xff"), ""),
    (lambda: raw_request(b"\x05\x00\x00\x00a"), ""),
]


@pytest.mark.parametrize(("request_", "message"), GRPC_FAULTS, ids=range(len(GRPC_FAULTS)))
def test_bad_grpc_requests(server: Server, request_: Any, message: str) -> None:
    wanted = request_() if callable(request_) else request_
    with grpc_stub(server) as stub, pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(wanted, timeout=10)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT, refused.value.details()
    assert re.search(message, refused.value.details()), refused.value.details()
    assert len(refused.value.details()) > 10


OTHER_FAULTS: dict[str, tuple[str, Any, grpc.StatusCode]] = {
    "another model": (
        "ModelInfer",
        lambda: pb.ModelInferRequest(model_name="other", inputs=[grpc_tensor(b"a")]),
        grpc.StatusCode.NOT_FOUND,
    ),
    "another version": (
        "ModelInfer",
        lambda: pb.ModelInferRequest(model_name="reviews", model_version="6", inputs=[grpc_tensor(b"a")]),
        grpc.StatusCode.NOT_FOUND,
    ),
    "another version's health": (
        "ModelReady",
        lambda: pb.ModelReadyRequest(name="reviews", version="6"),
        grpc.StatusCode.NOT_FOUND,
    ),
    "another version's metadata": (
        "ModelMetadata",
        lambda: pb.ModelMetadataRequest(name="reviews", version="6"),
        grpc.StatusCode.NOT_FOUND,
    ),
    "another model's health": ("ModelReady", lambda: pb.ModelReadyRequest(name="other"), grpc.StatusCode.NOT_FOUND),
    "unload": (
        "RepositoryModelUnload",
        lambda: pb.RepositoryModelUnloadRequest(model_name="reviews"),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "too large": (
        "ModelInfer",
        lambda: pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a" * (9 << 20))]),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ),
}


@pytest.mark.parametrize("case", OTHER_FAULTS)
def test_other_grpc_faults(server: Server, case: str) -> None:
    method, request, code = OTHER_FAULTS[case]
    with grpc_stub(server) as stub:
        with pytest.raises(grpc.RpcError) as refused:
            getattr(stub, method)(request(), timeout=10)
        assert refused.value.code() == code, refused.value.details()
        assert stub.ModelReady(pb.ModelReadyRequest(name="reviews"), timeout=10).ready


def test_grpc_requests_are_counted(server: Server) -> None:
    before = counted(server, "OK"), counted(server, "INVALID_ARGUMENT")
    with grpc_stub(server) as stub:
        stub.ModelInfer(pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(b"a")]), timeout=10)
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(pb.ModelInferRequest(model_name="reviews"), timeout=10)
        stub.ServerLive(pb.ServerLiveRequest(), timeout=10)
    assert (counted(server, "OK"), counted(server, "INVALID_ARGUMENT")) == (before[0] + 1, before[1] + 1)


def grpc_tensor(*texts: bytes, name: str = "text", datatype: str = "BYTES", shape: list[int] | None = None) -> Any:
    contents = pb.InferTensorContents(bytes_contents=texts)
    return pb.ModelInferRequest.InferInputTensor(
        name=name, datatype=datatype, shape=[len(texts)] if shape is None else shape, contents=contents
    )


def raw_request(data: bytes) -> Any:
    tensor = pb.ModelInferRequest.InferInputTensor(name="text", datatype="BYTES", shape=[1])
    return pb.ModelInferRequest(model_name="reviews", inputs=[tensor], raw_input_contents=[data])


@contextmanager
def grpc_stub(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def counted(server: Server, code: str) -> float:
    text = server.get("/metrics").body.decode()
    line = f'modelyard_server_requests_total{{code="{code}",protocol="grpc"}} '
    return next((float(found.removeprefix(line)) for found in text.splitlines() if found.startswith(line)), 0.0)
