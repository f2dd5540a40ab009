"""The limit is exact for each text type of the library that a few settings make small."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard_trainer.base_config import LEARNED_POSITIONS, limit_of, text_part

pytestmark = pytest.mark.full
SMALL = {
    **{"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 24},
    **{"intermediate_size": 48, "vocab_size": 120, "max_position_embeddings": 40, "embedding_size": 48, "dim": 32},
    **{"n_positions": 40, "n_embd": 32, "n_layer": 1, "n_head": 2, "d_model": 32, "encoder_layers": 1, "n_heads": 2},
    **{"decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "n_layers": 1},
    **{"decoder_attention_heads": 2, "emb_dim": 32, "hidden_dim": 64, "num_layers": 1, "num_heads": 2},
    **{"num_local_experts": 2, "attention_window": 8},
}
TABLE = (
    *("albert", "bart", "bert", "big_bird", "biogpt", "camembert", "canine", "convbert", "ctrl", "data2vec-text"),
    *("distilbert", "electra", "ernie", "flaubert", "gpt2", "gpt_bigcode", "ibert", "lilt", "longformer", "luke"),
    *("markuplm", "mbart", "megatron-bert", "mobilebert", "mpnet", "mvp", "openai-gpt", "opt", "plbart", "rembert"),
    *("roberta", "roberta-prelayernorm", "roformer", "squeezebert", "xlm", "xlm-roberta", "xlm-roberta-xl", "yoso"),
)
"""Types with a table of positions: one token more than the limit fails."""
FREE = (
    *("bloom", "gemma", "gemma2", "gpt_neox", "llama", "mistral", "modernbert", "phi", "phi3", "qwen2", "qwen3"),
    *("smollm3", "stablelm", "starcoder2"),
)
"""Types that compute positions: the limit is what they were trained for."""


@pytest.mark.parametrize("kind", [*TABLE, *FREE])
def test_limit(kind: str) -> None:
    config = small(kind)
    model, limit = made(config), limit_of(text_part(config))
    answer(model, limit or 60)
    if kind in TABLE:
        assert limit is not None
        with pytest.raises((IndexError, RuntimeError)):
            answer(model, limit + 1)


def test_types_that_count_from_behind_the_filler_are_tried() -> None:
    assert set(TABLE) >= LEARNED_POSITIONS - {"xmod", "esm", "layoutlmv3"}, "these need more than text"


def small(kind: str) -> Any:
    """The type's configuration with small numbers."""
    from transformers import AutoConfig

    usual = AutoConfig.for_model(kind)
    padding = usual.pad_token_id if isinstance(usual.pad_token_id, int) and usual.pad_token_id < 120 else 1
    fields = {name: value for name, value in SMALL.items() if hasattr(usual, name)}
    return AutoConfig.for_model(kind, **fields, pad_token_id=padding, eos_token_id=2, bos_token_id=0, num_labels=3)


def made(config: Any) -> Any:
    """A classifier with random weights."""
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_config(config).eval()


def answer(model: Any, length: int) -> None:
    """A row of so many tokens, with an end token last."""
    import torch

    ids = torch.full((1, length), 7)
    ids[:, -1] = 2
    with torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
