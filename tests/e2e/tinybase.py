"""A tiny BERT with random weights as a base model's folder, written without torch."""

from __future__ import annotations

import json
import math
import random
import struct

from tests.trainer.words import VOCABULARY

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
HIDDEN, INNER, LAYERS, POSITIONS = 32, 64, 2, 64


def base_files() -> dict[str, bytes]:
    """config.json, tokenizer.json and model.safetensors."""
    words = {word: number for number, word in enumerate([*SPECIAL, *VOCABULARY])}
    return {
        "config.json": json.dumps(_config(len(words))).encode(),
        "tokenizer.json": json.dumps(_tokenizer(words)).encode(),
        "model.safetensors": _safetensors(_shapes(len(words))),
    }


def _config(words: int) -> dict[str, object]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": words,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 0,
    }


def _tokenizer(words: dict[str, int]) -> dict[str, object]:
    """tokenizer.json of a word-level tokenizer."""
    special = [
        {
            "id": words[name],
            "content": name,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for name in SPECIAL
    ]
    template = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    tokens = {name: {"id": name, "ids": [words[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template,
            "pair": [*template, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": tokens,
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"},
    }


def _shapes(words: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (words, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        **_norm("embeddings.LayerNorm"),
        **_dense("pooler.dense", HIDDEN, HIDDEN),
    }
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        for part in ("query", "key", "value"):
            shapes |= _dense(f"{layer}.attention.self.{part}", HIDDEN, HIDDEN)
        shapes |= _dense(f"{layer}.attention.output.dense", HIDDEN, HIDDEN) | _norm(
            f"{layer}.attention.output.LayerNorm"
        )
        shapes |= _dense(f"{layer}.intermediate.dense", INNER, HIDDEN)
        shapes |= _dense(f"{layer}.output.dense", HIDDEN, INNER) | _norm(f"{layer}.output.LayerNorm")
    return shapes


def _dense(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}


def _safetensors(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """Float32 tensors in the safetensors format: header length, JSON header, data."""
    chance, header, data = random.Random(0), {}, bytearray()
    for name, shape in shapes.items():
        values = [_start(name, chance) for _ in range(math.prod(shape))]
        begin = len(data)
        data += struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, len(data)]}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def _start(name: str, chance: random.Random) -> float:
    if name.endswith("bias"):
        return 0.0
    return 1.0 if "LayerNorm" in name else chance.gauss(0, 0.05)
