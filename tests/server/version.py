"""A tiny classifier of good and bad words, with all the files that a run publishes."""

from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.run import ModelInfo, Written
from tests.server.onnxfile import classifier

LABELS = ["negative", "neutral", "positive"]
WORDS = {
    "[UNK]": (0, 0, 0),
    "[PAD]": (9, 9, 9),
    "bad": (3, 0, 0),
    "fine": (0, 2, 0),
    "good": (0, 0, 3),
    "so": (0, 1, 0),
}
PAD_ID = 1
MAX_LENGTH = 16
INFO: dict[str, Any] = ModelInfo(
    task="text-classification",
    run="run-1",
    model="reviews",
    labels=LABELS,
    codec={"maxLength": MAX_LENGTH, "prepare": []},
    artifacts=[Written(format_=name, precision="fp32") for name in ("safetensors", "onnx")],
    metrics=[Metrics(set_=TEST, primary="macro_f1", values={"macro_f1": 1.0})],
    dataset="sha256:0",
    base="sha256:0",
    image="trainer",
    sample={"text": "so good"},
).dump()


def write_version(folder: Path, weights: np.ndarray | None = None) -> Path:
    """Write the files of a version into a folder; give the folder."""
    found = np.array(list(WORDS.values()), dtype=np.float32) if weights is None else weights
    (folder / "model.onnx").write_bytes(classifier(found))
    (folder / "model.safetensors").write_bytes(b"not served" * 100)
    (folder / "config.json").write_text("{}")
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
