"""What config.json of a base model says: whether it can be what the task needs, and how many tokens it takes."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from modelyard import names
from modelyard.api.hyperparameters import ResolvedInput
from modelyard_trainer.errors import bad_base, bad_config, cause_of

LEARNED_POSITIONS = frozenset(
    {
        *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "data2vec-text"),
        *("longformer", "mpnet", "xmod", "luke", "ibert", "esm", "lilt", "markuplm", "layoutlmv3"),
    }
)
"""Types that count positions from behind the padding id: 514 positions are 512 tokens."""
RELATIVE = frozenset({"t5", "mt5", "umt5", "xlnet", "bloom", "mpt", "funnel"})
"""Types without a table of positions: any length can be computed."""
LIMITS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "max_encoder_position_embeddings",
)
"""Names of the limit; the first is also how the library reads most of the others."""


def read_config(base: Path) -> Any:
    """config.json as the library reads it, with its own values for what is left out; BASE_INVALID if it cannot."""
    from transformers import AutoConfig

    settings: dict[str, Any] = json.loads((base / "config.json").read_text())
    kind = settings.get("model_type")
    if not isinstance(kind, str):
        raise bad_base("config.json of spec.from.base has no model_type: only models of the transformers library load")
    if "quantization_config" in settings:
        raise bad_base("spec.from.base is quantized: use the unquantized model", names.BASE_INVALID)
    try:
        config = AutoConfig.from_pretrained(str(base), local_files_only=True, trust_remote_code=False)
    except Exception as fault:
        told = f"config.json of spec.from.base (type '{kind}') is not understood: {cause_of(fault)}"
        raise bad_base(f"{told}; choose a base of a type that this trainer's library knows") from fault
    return text_part(config)


def text_part(config: Any) -> Any:
    """Settings of the part that reads text; of most models that is all of them."""
    part = config.get_text_config()
    return part if hasattr(part, "model_type") else config


def limit_of(config: Any) -> int | None:
    """Tokens that the base takes at most; None if it has no such limit."""
    if config.model_type in RELATIVE or getattr(config, "position_biased_input", True) is False:
        return None
    found = [value for name in LIMITS if isinstance(value := getattr(config, name, None), int) and value > 0]
    if not found:
        return None
    padding = config.pad_token_id if isinstance(config.pad_token_id, int) else 0
    return found[0] - (padding + 1 if config.model_type in LEARNED_POSITIONS else 0)


def length_of(asked: ResolvedInput, by_recipe: Collection[str], limit: int | None) -> int:
    """Tokens per row: the recipe's number as far as the base takes it; BAD_CONFIG if more was asked for than that."""
    if asked.text is None:
        raise bad_config("the run's input has no block for texts: the operator is older than this trainer image")
    length = asked.text.max_length
    if limit is None or length <= limit:
        return length
    if "input.text.maxLength" in by_recipe:
        return limit
    raise bad_config(
        f"spec.input.text.maxLength is {length}, but the base model takes at most {limit} tokens: set it to {limit} or "
        "less, or leave it out"
    )
