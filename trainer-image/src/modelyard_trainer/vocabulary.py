"""A base's tokenizer beside its model: they must fit each other, and one token must fill short rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard_trainer.errors import bad_base

PADS = ("[PAD]", "<pad>", "<|pad|>", "<|padding|>", "<|finetune_right_pad_id|>", "<|pad_token|>")


def check_size(tokenizer: Any, size: int) -> None:
    """BASE_INVALID if the tokenizer gives ids that the model has no embedding for; names them and what helps."""
    beyond = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number >= size)
    if not beyond:
        return
    added = set(tokenizer.get_added_tokens_decoder())
    tokens, named = tokenizer.get_vocab_size(), ", ".join(token for _, token in beyond[:5])
    told = (
        f"tokenizer.json of spec.from.base has {tokens} tokens, but the model only {size} (vocab_size of config.json)"
    )
    if len(beyond) <= len(added) and all(number in added for number, _ in beyond):
        raise bad_base(
            f"{told}: {named} {'was' if len(beyond) == 1 else 'were'} added without a place in the model. In Python: "
            f"model.resize_token_embeddings({tokens}); model.save_pretrained(folder); then upload it again"
        )
    raise bad_base(f"{told}; the first one too many is {named}: they belong to different models, upload both again")


def pad_id_of(tokenizer: Any, config: Any, base: Path, size: int) -> int:
    """The token that fills short rows: what base or tokenizer name, else an end token, else another special one.

    No ordinary token, if a special one is to be had: heads that read a row's last token skip the filler.
    """
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    named = [number for number in _named(tokenizer, config, base) if 0 <= number < size]
    chosen = next((number for number in named if number in special), None)
    if chosen is None and special:
        chosen = next((number for number in sorted(special) if number < size), None)
    if chosen is None:
        chosen = named[0] if named else None
    if chosen is None:
        raise bad_base(
            "spec.from.base has no token that could fill short rows: neither pad_token_id nor eos_token_id stand in "
            "config.json, and tokenizer.json has no special tokens. In Python: tokenizer.add_special_tokens("
            "{'pad_token': '[PAD]'}); model.resize_token_embeddings(len(tokenizer)); save_pretrained() of both"
        )
    return chosen


def _named(tokenizer: Any, config: Any, base: Path) -> Iterator[int]:
    """Ids in the order in which they are trusted."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    ids = [config.pad_token_id, (tokenizer.padding or {}).get("pad_id")]
    ids += [tokenizer.token_to_id(token) for token in (*_of_settings(base, "pad_token"), *PADS)]
    ids += [*ends, *(tokenizer.token_to_id(token) for token in _of_settings(base, "eos_token"))]
    yield from (number for number in ids if isinstance(number, int))


def _of_settings(base: Path, name: str) -> list[str]:
    """A token by its role in tokenizer_config.json; it stands there as text, or as an object with its content."""
    path = base / "tokenizer_config.json"
    value = json.loads(path.read_text()).get(name) if path.exists() else None
    found = value.get("content") if isinstance(value, dict) else value
    return [found] if isinstance(found, str) else []
