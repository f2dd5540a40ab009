"""A version of token-classification over V1, V2 and gRPC: entities of texts, and of words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.run import ModelInfo, Written
from modelyard.storage.publish import describe
from tests.server.conftest import Server
from tests.server.onnxfile import tagger
from tests.server.test_grpc import grpc_stub

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
WORDS = {"[UNK]": "O", "[PAD]": "O", "ada": "B-PER", "lovelace": "I-PER", "new": "B-LOC", "york": "I-LOC"}
TEXT = "Ada  Lovelace saw New York."
FOUND = [(0, 13, "PER", "Ada  Lovelace"), (18, 26, "LOC", "New York")]
IN_WORDS = [(0, 2, "PER", "Ada Lovelace"), (3, 4, "LOC", "New")]
WORDS_ASKED = ["Ada", "Lovelace", "saw", "New", "."]


def write(folder: Path) -> Path:
    """A version whose tags follow from single words in lower case."""
    numbers = [LABELS.index(tag) for tag in WORDS.values()]
    (folder / "model.onnx").write_bytes(tagger(9 * np.eye(len(LABELS))[numbers]))
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.enable_padding(pad_id=1, pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))
    info = ModelInfo(
        task="token-classification",
        run="run-1",
        model="reviews",
        labels=LABELS,
        codec={"maxLength": 16, "prepare": [{"normalize": "nfkc"}]},
        artifacts=[Written(format_="onnx", precision="fp32")],
        metrics=[Metrics(set_=TEST, primary="micro_f1", values={"micro_f1": 1.0})],
        dataset="sha256:0",
        base="sha256:0",
        image="trainer",
        sample={"text": ["ada"]},
    )
    (folder / "manifest.json").write_bytes(describe(folder, "model", info.dump()).to_bytes())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tagger")
    tokens = Server(tmp_path_factory.mktemp("server"), write(folder))
    tokens.start()
    yield tokens
    tokens.process.stop()


def shown(entities: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    assert all(0.9 < found["score"] <= 1 for found in entities)
    return [(found["start"], found["end"], found["label"], found["text"]) for found in entities]


def lower(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(start, end, label, text.lower()) for start, end, label, text in found]


@pytest.mark.parametrize("form", [lambda text: {"text": text}, lambda text: text])
def test_v1(server: Server, form: Any) -> None:
    rows = [form(TEXT.lower()), form([word.lower() for word in WORDS_ASKED]), form("nothing"), form("")]
    answer = server.v1({"instances": rows})
    assert answer.code == 200, answer
    entities = [shown(row["entities"]) for row in answer.body["predictions"]]
    assert entities == [lower(FOUND), lower(IN_WORDS), [], []]
    assert answer.body["predictions"][3]["score"] == 1.0


def test_v2(server: Server) -> None:
    data = [TEXT.lower(), json.dumps([word.lower() for word in WORDS_ASKED])]
    answer = server.v2({"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": data}]})
    assert answer.code == 200, answer
    outputs = {output["name"]: output for output in answer.body["outputs"]}
    assert [(name, output["datatype"], output["shape"]) for name, output in outputs.items()] == [
        ("entities", "BYTES", [2]),
        ("score", "FP32", [2]),
    ]
    assert [shown(json.loads(row)) for row in outputs["entities"]["data"]] == [lower(FOUND), lower(IN_WORDS)]


def test_grpc(server: Server) -> None:
    request = InferRequest("reviews", [InferInput("text", [1], "BYTES", [TEXT.lower().encode()])]).to_grpc()
    with grpc_stub(server) as stub:
        answer = InferResponse.from_grpc(stub.ModelInfer(request, timeout=10))
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="reviews"), timeout=10)
    assert shown(json.loads(answer.outputs[0].as_numpy()[0])) == lower(FOUND)
    assert [(tensor.name, tensor.datatype) for tensor in metadata.outputs] == [("entities", "BYTES"), ("score", "FP32")]


def test_words_that_are_none_are_refused(server: Server) -> None:
    answer = server.v1({"instances": [{"text": "ada"}, {"text": ["ada", 3]}]})
    assert answer.code == 400
    assert "the text of row 1 must be a string, not int" in str(answer.body)
