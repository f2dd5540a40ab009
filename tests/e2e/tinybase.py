"""A tiny BERT as a base model's folder, written without torch: random embeddings; the library starts the rest."""

from __future__ import annotations

import json
import random
import struct

from tests.trainer.words import VOCABULARY

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
HIDDEN = 32


def base_files() -> dict[str, bytes]:
    """config.json, tokenizer.json and model.safetensors."""
    words = {word: number for number, word in enumerate([*SPECIAL, *VOCABULARY])}
    return {
        "config.json": json.dumps(_config(len(words))).encode(),
        "tokenizer.json": json.dumps(_tokenizer(words)).encode(),
        "model.safetensors": _safetensors("embeddings.word_embeddings.weight", len(words), HIDDEN),
    }


def _config(words: int) -> dict[str, object]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": words,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
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


def _safetensors(name: str, rows: int, columns: int) -> bytes:
    """One float32 tensor in the safetensors format: header length, JSON header, data."""
    chance = random.Random(0)
    data = struct.pack(f"<{rows * columns}f", *(chance.gauss(0, 0.5) for _ in range(rows * columns)))
    entry = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [0, len(data)]}
    header = json.dumps({"__metadata__": {"format": "pt"}, name: entry}).encode()
    return struct.pack("<Q", len(header)) + header + data
