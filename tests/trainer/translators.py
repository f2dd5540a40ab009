"""Tiny encoder-decoder bases, and rows in a language of the test's own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.trainer.architectures import ROBERTA_WORDS, SPM_WORDS, byte_level, unigram
from tests.trainer.words import TELLING

SIZES = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 64}
HEADS = {name: 2 for name in ("encoder_attention_heads", "decoder_attention_heads")}
WIDTHS = {name: 64 for name in ("encoder_ffn_dim", "decoder_ffn_dim")}
T5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
ENDS = {"pad_token_id": 1, "eos_token_id": 2}
KINDS: dict[str, dict[str, Any]] = {
    "bart": {**SIZES, **HEADS, **WIDTHS, **ENDS, "bos_token_id": 0, "decoder_start_token_id": 2},
    "marian": {**SIZES, **HEADS, **WIDTHS, **ENDS, "decoder_start_token_id": 1, "forced_eos_token_id": None},
    "t5": {**T5, **ENDS, "decoder_start_token_id": 1},
}
WORDS = [word for words in TELLING.values() for word in words][:12]


def foreign(text: str) -> str:
    """The text in the other language: word by word, each spelt backwards."""
    return " ".join(word[::-1] for word in text.split())


def pairs(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows {"source", "target"} of one to four words; all differ."""
    chance, found = random.Random(seed), dict[str, dict[str, Any]]()
    while len(found) < count:
        text = " ".join(chance.choices(WORDS, k=chance.randint(1, 4)))
        found[text] = {"source": text, "target": foreign(text)}
    return list(found.values())


def write(kind: str, folder: Path) -> Path:
    """config.json, tokenizer.json and model.safetensors of a tiny base with random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    words = ("<s>", "</s>")
    tokenizer = unigram(SPM_WORDS, *words)() if kind == "t5" else byte_level(ROBERTA_WORDS, words)()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"vocab_size": tokenizer.get_vocab_size(), **KINDS[kind]}
    if kind == "marian":
        settings["decoder_vocab_size"] = settings["vocab_size"]
    AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(kind, **settings)).save_pretrained(folder)
    return folder
