"""Tiny decoders with chat templates, and conversations that can be learned: each answer follows from the question."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.trainer.words import VOCABULARY

START, END, TEXT_END = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CHATML = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You answer.<|im_end|>\n{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "+ '\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ bos_token }}"
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] | trim }} [/INST]"
    "{% else %} {{ message['content'] | trim }} {{ eos_token }}{% endif %}{% endfor %}"
)
SIZES: dict[str, dict[str, Any]] = {
    "llama": {
        **{"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
        **{"intermediate_size": 128, "max_position_embeddings": 256, "tie_word_embeddings": True},
    },
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 256},
}
WORDS = VOCABULARY[40:60]


def write(kind: str, folder: Path, template: str | None = CHATML, file: bool = False) -> Path:
    """A base with random weights; without a template, its tokenizer has no tokens for turns either.

    `file`: the template lies in a file of its own, as newer releases of the library save it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    special = [TEXT_END, *([START, END] if template == CHATML else [])]
    tokenizer = byte_level(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    end = END if template == CHATML else TEXT_END
    settings = {"eos_token": end, "bos_token": TEXT_END}
    if template and file:
        (folder / "chat_template.jinja").write_text(template)
    elif template:
        settings["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ids = {name: tokenizer.token_to_id(token) for name, token in (("eos", end), ("bos", TEXT_END), ("pad", TEXT_END))}
    sizes = {"vocab_size": tokenizer.get_vocab_size(), **{f"{name}_token_id": number for name, number in ids.items()}}
    config = AutoConfig.for_model(kind, **{**SIZES[kind], **sizes})
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def byte_level(special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=letters, show_progress=False)
    made.train_from_iterator([*(" ".join(WORDS),) * 3, "user assistant system You answer ."], trainer)
    return made


def answer(question: str) -> str:
    """The right one: a word for the first word, and that one again."""
    word = question.split()[0]
    return f"{WORDS[(WORDS.index(word) + 7) % len(WORDS)]} {word}"


def conversations(count: int, seed: int = 0, turns: int = 1) -> list[list[dict[str, str]]]:
    """Messages of so many questions and answers each; all differ."""
    chance, found = random.Random(seed), dict[str, list[dict[str, str]]]()
    while len(found) < count:
        asked = [" ".join(chance.choices(WORDS, k=chance.randint(2, 3))) for _ in range(turns)]
        found[" / ".join(asked)] = [
            message
            for text in asked
            for message in ({"role": "user", "content": text}, {"role": "assistant", "content": answer(text)})
        ]
    return list(found.values())
