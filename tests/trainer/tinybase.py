"""A tiny BERT that has seen a little, and a tokenizer of the test's own words, written as a base model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard_trainer.tasks.texts import load_tokenizer
from tests.trainer.texts import encoded
from tests.trainer.words import TELLING, VOCABULARY, rows

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_base(folder: Path) -> Path:
    """config.json, tokenizer.json and model.safetensors."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    settings = BertConfig(
        vocab_size=len(SPECIAL) + len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
        num_labels=len(TELLING),
    )
    write_tokenizer(folder)
    model = BertForSequenceClassification(settings)
    _teach(model, load_tokenizer(folder, 32))
    model.bert.save_pretrained(folder)
    return folder


def _teach(model: Any, tokenizer: Any, steps: int = 150) -> None:
    """Random weights adapt badly with LoRA: give the encoder what a pre-trained one has."""
    import torch

    optimizer, labels = torch.optim.AdamW(model.parameters(), lr=3e-3), sorted(TELLING)
    for step in range(steps):
        batch = rows(32, seed=1000 + step)
        inputs = encoded(tokenizer, [row["text"] for row in batch])
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        targets = torch.tensor([labels.index(row["label"]) for row in batch])
        model(**tensors, labels=targets).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def write_tokenizer(folder: Path) -> None:
    """A word-level tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {word: number for number, word in enumerate([*SPECIAL, *VOCABULARY])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", words["[CLS]"]), ("[SEP]", words["[SEP]"])]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
