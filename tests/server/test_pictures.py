"""Pictures over V1, V2 and gRPC: as base64 or as their bytes, and what cannot be read is the caller's fault."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from PIL import Image

from modelyard_trainer.tasks.images import written
from tests.server.conftest import Server
from tests.server.pictures import write_classifier, write_detector
from tests.server.test_grpc import grpc_stub, grpc_tensor

LIGHT = written(Image.new("RGB", (20, 10), "white"), "JPEG")
DARK = written(Image.new("L", (3, 3), 0))
BROKEN = LIGHT[:-60]


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def served(write: Callable[[Path], Path], folder: Path) -> Iterator[Server]:
    (folder / "version").mkdir()
    server = Server(folder, write(folder / "version"))
    server.start()
    yield server
    server.process.stop()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from served(write_classifier, tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from served(write_detector, tmp_path_factory.mktemp("detector"))


def v2_body(*data: str) -> dict[str, Any]:
    return {"inputs": [{"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": list(data)}]}


def test_v1(classifier: Server) -> None:
    instances = [{"image": text(LIGHT)}, text(DARK), {"image": f"data:image/png;base64,{text(DARK)}"}]
    answer = classifier.v1({"instances": instances})
    assert answer.code == 200, answer
    assert [row["label"] for row in answer.body["predictions"]] == ["light", "dark", "dark"]


def test_v2(classifier: Server) -> None:
    answer = classifier.v2(v2_body(text(LIGHT), text(DARK)))
    assert answer.code == 200, answer
    assert answer.body["outputs"][0]["data"] == ["light", "dark"]


@pytest.mark.parametrize("form", [lambda data: data, lambda data: text(data).encode()])
def test_v2_binary(classifier: Server, form: Any) -> None:
    tensor = InferInput("image", [2], "BYTES")
    tensor.set_data_from_numpy(np.array([form(DARK), form(LIGHT)], dtype=np.object_), binary_data=True)
    data, length = InferRequest("reviews", [tensor]).to_rest()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(length)}
    answer = classifier.send("/v2/models/reviews/infer", data, headers)
    assert answer.code == 200, answer
    assert answer.body["outputs"][0]["data"] == ["dark", "light"]


def test_grpc(classifier: Server) -> None:
    request = InferRequest("reviews", [InferInput("image", [2], "BYTES", [LIGHT, DARK])]).to_grpc()
    with grpc_stub(classifier) as stub:
        answer = stub.ModelInfer(request, timeout=10)
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="reviews"), timeout=10)
    assert InferResponse.from_grpc(answer).outputs[0].as_numpy().tolist() == [b"light", b"dark"]
    assert [(tensor.name, tensor.datatype) for tensor in metadata.inputs] == [("image", "BYTES")]


FAULTS = [
    ([{"image": text(LIGHT)}, {"image": text(BROKEN)}], "the image of row 1 is a broken picture"),
    ([text(b"%PDF-1.7")], "the image of row 0 is no picture of a format that is read"),
    ([{"text": "good"}], "the image of row 0 has no 'image'"),
    (["no base64!"], "the image of row 0 is neither the file of a picture"),
    ([], "send at least one image"),
]


@pytest.mark.parametrize(("instances", "message"), FAULTS)
def test_what_cannot_be_read_is_refused(classifier: Server, instances: Any, message: str) -> None:
    answer = classifier.v1({"instances": instances})
    assert (answer.code, message in str(answer.body)) == (400, True), answer


def test_a_broken_picture_is_refused_over_v2_and_grpc(classifier: Server) -> None:
    answer = classifier.v2(v2_body(text(BROKEN)))
    assert (answer.code, "row 0 is a broken picture" in str(answer.body)) == (400, True), answer
    request = pb.ModelInferRequest(model_name="reviews", inputs=[grpc_tensor(BROKEN, name="image")])
    with grpc_stub(classifier) as stub, pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(request, timeout=10)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "row 0 is a broken picture" in refused.value.details()


def test_boxes_are_answered_in_pixels_of_the_picture(detector: Server) -> None:
    """What is found at (2, 1) to (6, 7) of 8 x 8 pixels lies elsewhere in 20 x 10 with its border above and below."""
    answer = detector.v1({"instances": [text(LIGHT), text(DARK)]})
    assert answer.code == 200, answer
    light, dark = answer.body["predictions"]
    (found,) = light["objects"]
    assert (found["label"], found["box"]) == ("light", [5.0, 0.0, 10.0, 10.0])
    assert dark == {"objects": []}


def test_v2_has_as_many_boxes_as_it_counts(detector: Server) -> None:
    answer = detector.v2(v2_body(text(LIGHT), text(DARK)))
    assert answer.code == 200, answer
    outputs = {output["name"]: output for output in answer.body["outputs"]}
    shapes = {name: (output["datatype"], output["shape"]) for name, output in outputs.items()}
    assert shapes == {
        "count": ("INT64", [2]),
        "label": ("BYTES", [2, 100]),
        "score": ("FP32", [2, 100]),
        "box": ("FP32", [2, 100, 4]),
    }
    assert outputs["count"]["data"] == [1, 0]
    assert outputs["label"]["data"][:2] == ["light", ""]
    assert outputs["box"]["data"][:4] == [5.0, 0.0, 10.0, 10.0]
    metadata = detector.get("/v2/models/reviews")
    assert [tensor["shape"] for tensor in metadata.body["outputs"]] == [[-1], [-1, 100], [-1, 100], [-1, 100, 4]]
