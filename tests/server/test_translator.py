"""A version of translation over V1, V2 and gRPC: two graphs, and an answer of as many passes as it has tokens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from tokenizers import Tokenizer, processors
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.run import ModelInfo, Written
from modelyard.api.tasks import TASKS
from modelyard.storage.publish import describe
from modelyard_server.load import load
from modelyard_server.predictor import Predictor
from tests.server.conftest import Server
from tests.server.onnxfile import follower, passing
from tests.server.test_grpc import grpc_stub

WORDS = ["[UNK]", "[PAD]", "</s>", "<s>", "eins", "zwei", "drei"]
NEXT = {"<s>": "eins", "eins": "zwei", "zwei": "drei", "drei": "</s>"}


def write(folder: Path, task: str = "translation") -> Path:
    """A version that answers everything by counting to three: the token that follows depends on the last one alone."""
    weights: np.ndarray = np.zeros((len(WORDS), len(WORDS)), dtype=np.float32)
    for word, after in NEXT.items():
        weights[WORDS.index(word), WORDS.index(after)] = 9.0
    (folder / "encoder.onnx").write_bytes(passing())
    (folder / "decoder.onnx").write_bytes(follower(weights))
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(WORDS[1:4])
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    tokenizer.enable_padding(pad_id=1, pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))
    info = ModelInfo(
        task=task,
        run="run-1",
        model="reviews",
        labels=[],
        codec={"maxLength": 16, "prepare": [], "ends": {"start": 3, "last": [2], "most": 8, "first": None}},
        artifacts=[Written(format_="onnx", precision="fp32")],
        metrics=[Metrics(set_=TEST, primary=TASKS[task].primary, values={TASKS[task].primary: 0.5})],
        dataset="sha256:0",
        base="sha256:0",
        image="trainer",
        sample={"text": "drei"},
    )
    (folder / "manifest.json").write_bytes(describe(folder, "model", info.dump()).to_bytes())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("server"), write(tmp_path_factory.mktemp("translator")))
    found.start()
    yield found
    found.process.stop()


@pytest.mark.parametrize("form", [lambda text: {"text": text}, lambda text: text])
def test_v1(server: Server, form: Any) -> None:
    answer = server.v1({"instances": [form("drei zwei"), form("")]})
    assert answer.code == 200, answer
    assert [row["text"] for row in answer.body["predictions"]] == ["eins zwei drei"] * 2
    assert all(0.99 < row["score"] <= 1 for row in answer.body["predictions"])


def test_v2(server: Server) -> None:
    answer = server.v2({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["drei"]}]})
    assert answer.code == 200, answer
    outputs = {output["name"]: (output["datatype"], output["data"]) for output in answer.body["outputs"]}
    assert outputs["text"] == ("BYTES", ["eins zwei drei"])
    assert outputs["score"][0] == "FP32"


def test_grpc(server: Server) -> None:
    request = InferRequest("reviews", [InferInput("text", [1], "BYTES", [b"drei"])]).to_grpc()
    with grpc_stub(server) as stub:
        answer = InferResponse.from_grpc(stub.ModelInfer(request, timeout=10))
    assert answer.outputs[0].as_numpy().tolist() == [b"eins zwei drei"]


def test_a_summarizer_is_served_alike(tmp_path: Path) -> None:
    served = Predictor(load(write(tmp_path, "summarization")))
    served.check()
    assert [row["text"] for row in served.predict([{"text": "drei zwei"}, "drei"])] == ["eins zwei drei"] * 2
