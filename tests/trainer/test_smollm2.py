"""What is converted of a small language model in GGUF: order of weights, tokenizer, configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.demo import smollm2

TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "1", "2", "Ġ", "ab", "12"]
TOLD: dict[str, Any] = {
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3, 3, 3, *[1] * 7],
    "tokenizer.ggml.merges": ["a b", "1 2"],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.padding_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 64,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 64,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 100000.0,
}


def as_gguf_has_it(values: np.ndarray, heads: int) -> np.ndarray:
    """What llama.cpp's converter makes of a query's or key's rows."""
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


@pytest.mark.parametrize("heads", [1, 3])
def test_rows_of_queries_get_their_order_back(heads: int) -> None:
    values = np.arange(heads * 8 * 5).reshape(heads * 8, 5)
    stored = as_gguf_has_it(values, heads)
    assert not np.array_equal(stored, values)
    assert np.array_equal(smollm2.turned(stored, heads), values)


def test_digits_stand_alone_and_special_tokens_are_marked(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    found = smollm2.tokenizer_of(TOLD)
    (tmp_path / "tokenizer.json").write_text(json.dumps(found["tokenizer"]))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode("ab 12<|im_end|>").tokens == ["ab", "Ġ", "1", "2", "<|im_end|>"]
    assert tokenizer.decode(tokenizer.encode("ab 12").ids) == "ab 12"
    assert found["tokenizer_config"]["pad_token"] == "<|im_end|>"
    assert found["tokenizer_config"]["chat_template"] == TOLD["tokenizer.chat_template"]


def test_the_configuration_makes_a_llama_of_the_names_that_are_written(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    (tmp_path / "config.json").write_text(json.dumps(smollm2.config_of(TOLD)))
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    parts = ("attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    names = {smollm2.named(f"blk.{layer}.{part}.weight") for layer in (0, 1) for part in parts}
    names |= {smollm2.named(name) for name in ("token_embd.weight", "output_norm.weight")}
    assert names == {name for name, _ in model.named_parameters()}
    assert model.config.rope_parameters["rope_theta"] == 100000.0
