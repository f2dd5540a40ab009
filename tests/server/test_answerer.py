"""A version of question-answering over V1, V2 and gRPC: parts of the contexts, exactly as they were sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.run import ModelInfo, Written
from modelyard.storage.publish import describe
from tests.server.conftest import Server
from tests.server.onnxfile import tagger
from tests.server.test_grpc import grpc_stub

WORDS = {"[UNK]": (-9, -9), "[PAD]": (-9, -9), "[CLS]": (0, 0), "[SEP]": (-9, -9), "new": (9, 0), "york": (0, 9)}
"""Logits of a first and of a last token."""
QUESTION = "Where does she live?"
LONG = "word " * 300 + "New  York." + " word" * 300
ODD = "\U0001f469\u200d\U0001f467 e\u0301 \ufb01ne, \uff2e\uff25\uff37\u3000York \U0001f600"
CONTEXTS = ["Ada lives in New  York.", "Nobody lives there.", LONG, ODD, ""]
ANSWERS = ["New  York", "", "New  York", "\uff2e\uff25\uff37\u3000York", ""]


def write(folder: Path) -> Path:
    """A version whose answers begin with "new" and end with "york"."""
    (folder / "model.onnx").write_bytes(tagger(np.array(list(WORDS.values()))))
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(pad_id=1, pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))
    info = ModelInfo(
        task="question-answering",
        run="run-1",
        model="reviews",
        labels=[],
        codec={"maxLength": 32, "prepare": [{"normalize": "nfkc"}], "longestAnswer": 4, "tokenTypes": True},
        artifacts=[Written(format_="onnx", precision="fp32")],
        metrics=[Metrics(set_=TEST, primary="f1", values={"f1": 1.0, "exact_match": 1.0})],
        dataset="sha256:0",
        base="sha256:0",
        image="trainer",
        sample={"question": QUESTION, "context": CONTEXTS[0]},
    )
    (folder / "manifest.json").write_bytes(describe(folder, "model", info.dump()).to_bytes())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("answerer")
    found = Server(tmp_path_factory.mktemp("server"), write(folder))
    found.start()
    yield found
    found.process.stop()


def test_v1(server: Server) -> None:
    answer = server.v1({"instances": [{"question": QUESTION, "context": context} for context in CONTEXTS]})
    assert answer.code == 200, answer
    found = answer.body["predictions"]
    assert [one["answer"] for one in found] == ANSWERS
    assert all(
        context[one["start"] : one["end"]] == one["answer"] for context, one in zip(CONTEXTS, found, strict=True)
    )
    assert all(0 < one["score"] <= 1 for one in found)


@pytest.mark.parametrize("question", ["", "word " * 500, "\U0001f600", "new york", "</s> [SEP] [CLS]"])
def test_any_question_is_answered(server: Server, question: str) -> None:
    answer = server.v1({"instances": [{"question": question, "context": LONG}]})
    assert answer.code == 200, answer
    assert [one["answer"] for one in answer.body["predictions"]] == ["New  York"]


def column(name: str, data: list[str], **changes: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": "BYTES", "data": data, **changes}


@pytest.mark.parametrize("turned", [False, True])
def test_v2(server: Server, turned: bool) -> None:
    inputs = [column("question", [QUESTION] * len(CONTEXTS)), column("context", CONTEXTS, shape=[len(CONTEXTS), 1])]
    answer = server.v2({"inputs": inputs[::-1] if turned else inputs})
    assert answer.code == 200, answer
    outputs = {output["name"]: output for output in answer.body["outputs"]}
    assert [(name, output["datatype"], output["shape"]) for name, output in outputs.items()] == [
        ("answer", "BYTES", [5]),
        ("start", "INT64", [5]),
        ("end", "INT64", [5]),
        ("score", "FP32", [5]),
    ]
    assert outputs["answer"]["data"] == ANSWERS
    assert outputs["start"]["data"][0] == 13


def test_grpc(server: Server) -> None:
    texts = {"question": [QUESTION.encode()] * 2, "context": [CONTEXTS[0].encode(), ODD.encode()]}
    request = InferRequest("reviews", [InferInput(name, [2], "BYTES", data) for name, data in texts.items()]).to_grpc()
    with grpc_stub(server) as stub:
        answer = InferResponse.from_grpc(stub.ModelInfer(request, timeout=10))
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="reviews"), timeout=10)
    assert [one.decode() if isinstance(one, bytes) else one for one in answer.outputs[0].as_numpy()] == [
        ANSWERS[0],
        ANSWERS[3],
    ]
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs] == [
        ("question", "BYTES", [-1]),
        ("context", "BYTES", [-1]),
    ]


@pytest.mark.parametrize(
    ("instance", "told"),
    [
        ({"question": "a"}, "row 1 has no 'context'"),
        ({"question": "a", "context": 3}, "row 1 is wrong in 'context': it must be a string, not int"),
        ({"question": None, "context": "a"}, "row 1 is wrong in 'question': it must be a string, not NoneType"),
        ("a", "must be {"),
        ([], "not list"),
    ],
)
def test_what_is_no_instance_is_refused(server: Server, instance: Any, told: str) -> None:
    answer = server.v1({"instances": [{"question": "a", "context": "b"}, instance]})
    assert answer.code == 400
    assert told in answer.body["error"]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([column("question", ["a"])], "expected one input tensor each, 'question', 'context', but got ['question']"),
        ([column("question", ["a"]), column("question", ["a"])], "but got ['question', 'question']"),
        ([column("question", ["a"]), column("text", ["a"])], "but got ['question', 'text']"),
        ([column("question", ["a"]), column("context", ["a", "b"])], "as many rows as the others, but they have"),
        ([column("question", []), column("context", [])], "send at least one question with context"),
        ([column("question", ["a"]), column("context", ["a"], datatype="FP32")], "must have datatype BYTES, not FP32"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(server: Server, inputs: list[dict[str, Any]], told: str) -> None:
    answer = server.v2({"inputs": inputs})
    assert answer.code == 400
    assert told in str(answer.body)
