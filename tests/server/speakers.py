"""A version of text-generation that says all numbers which nobody has said yet; asked for `immer` it never ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.run import ModelInfo, Written
from modelyard.storage.publish import describe
from tests.server.onnxfile import speaker

NUMBERS = ["eins", "zwei", "drei", "vier"]
WORDS = ["[UNK]", "[PAD]", "</s>", "<u>", "<a>", *NUMBERS, "immer"]
END = WORDS.index("</s>")
TEMPLATE = (
    "{% for message in messages %}{{ '<u> ' if message.role == 'user' else '<a> ' }}{{ message.content }}"
    "{{ ' </s> ' if message.role == 'assistant' else ' ' }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)
CONTEXT = 20_000
SAMPLE = {"messages": {"messages": [{"role": "user", "content": "eins"}], "max_tokens": 2}}


def graph() -> bytes:
    """Numbers in their order, none of them twice; the end when all were said, or never."""
    bias: np.ndarray = np.full(len(WORDS), -1000.0)
    bias[END] = -5.0
    bias[[WORDS.index(word) for word in NUMBERS]] = [4.0, 3.0, 2.0, 1.0]
    history: np.ndarray = np.zeros((len(WORDS), len(WORDS)))
    for word in NUMBERS:
        history[WORDS.index(word), WORDS.index(word)] = -20.0
    history[WORDS.index("immer"), END] = -1e9
    return speaker(bias, history)


def write(folder: Path) -> Path:
    """All files of the version."""
    (folder / "model.onnx").write_bytes(graph())
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(WORDS[1:5])
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    info = ModelInfo(
        task="text-generation",
        run="run-1",
        model="reviews",
        labels=[],
        codec={
            **{"maxLength": 32, "context": CONTEXT, "prepare": [], "ends": [END], "pad": 1},
            "chat": {"name": "own", "special": {}, "day": "2026-11-28"},
            "memory": {"layers": 1, "heads": 1, "width": len(WORDS)},
        },
        artifacts=[Written(format_="onnx", precision="fp32")],
        metrics=[Metrics(set_=TEST, primary="perplexity", values={"perplexity": 5.0})],
        dataset="sha256:0",
        base="sha256:0",
        image="trainer",
        sample=SAMPLE,
    )
    (folder / "manifest.json").write_bytes(describe(folder, "model", info.dump()).to_bytes())
    return folder
