"""A version of multi-label-classification over V1, V2 and gRPC: the labels whose score reaches their threshold."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.run import ModelInfo
from modelyard.storage.publish import describe
from tests.server.conftest import Server
from tests.server.test_grpc import grpc_stub
from tests.server.version import INFO, LABELS, write_version

BORDERS = [2.5, -1.0, 3.5]
"""Logits from which on negative, neutral and positive are answered; each word adds to one of them."""
SAID = {"bad": ["negative", "neutral"], "good": ["neutral"], "good good bad": ["negative", "neutral", "positive"]}


def write(folder: Path) -> Path:
    write_version(folder)
    settings = {**INFO["codec"], "thresholds": BORDERS}
    metrics = [Metrics(set_=TEST, primary="micro_f1", values={"micro_f1": 1.0}).dump()]
    changed = {**INFO, "task": "multi-label-classification", "codec": settings, "metrics": metrics}
    info = ModelInfo.model_validate(changed)
    (folder / "manifest.json").write_bytes(describe(folder, "model", info.dump()).to_bytes())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("server"), write(tmp_path_factory.mktemp("labeller")))
    found.start()
    yield found
    found.process.stop()


@pytest.mark.parametrize("form", [lambda text: {"text": text}, lambda text: text])
def test_v1(server: Server, form: Any) -> None:
    answer = server.v1({"instances": [form(text) for text in SAID]})
    assert answer.code == 200, answer
    assert [row["labels"] for row in answer.body["predictions"]] == list(SAID.values())
    assert list(answer.body["predictions"][0]["scores"]) == LABELS


def test_v2(server: Server) -> None:
    data = list(SAID)
    answer = server.v2({"inputs": [{"name": "text", "shape": [3], "datatype": "BYTES", "data": data}]})
    assert answer.code == 200, answer
    outputs = {output["name"]: output for output in answer.body["outputs"]}
    assert [(name, output["datatype"], output["shape"]) for name, output in outputs.items()] == [
        ("labels", "BYTES", [3]),
        ("scores", "FP32", [3, 3]),
    ]
    assert [json.loads(row) for row in outputs["labels"]["data"]] == list(SAID.values())


def test_grpc(server: Server) -> None:
    request = InferRequest("reviews", [InferInput("text", [1], "BYTES", [b"good"])]).to_grpc()
    with grpc_stub(server) as stub:
        answer = InferResponse.from_grpc(stub.ModelInfer(request, timeout=10))
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="reviews"), timeout=10)
    assert json.loads(answer.outputs[0].as_numpy()[0]) == ["neutral"]
    assert [(tensor.name, tensor.datatype) for tensor in metadata.outputs] == [("labels", "BYTES"), ("scores", "FP32")]
