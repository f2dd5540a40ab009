"""Decoders of the transformers library that learn the answers of conversations."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from modelyard_trainer.base_config import length_of, limit_of
from modelyard_trainer.errors import bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import decoding, learning, text_base
from modelyard_trainer.tasks.decoding import NUMBERS, PAST, PRESENT, Memory, Scored
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Part, Reading
from modelyard_trainer.tasks.text_generation import chat
from modelyard_trainer.tasks.text_generation.codec import SCORED, Generator
from modelyard_trainer.tasks.text_generation.reader import ChatReader, Limits, opened, with_end_of
from modelyard_trainer.tasks.text_generation.rows import instance
from modelyard_trainer.vocabulary import check_size, pad_id_of

ADAPTER_TASK = "CAUSAL_LM"
LINEAR_PROBE = False
items, augmented = learning.numbers_that_count, learning.unchanged
CONTEXT = 2048
"""Tokens of prompt and answer that a version takes, where its base takes them."""
COUNTED = 2000
"""Training rows whose tokens the baseline counts."""


def fit(run: TrainRun) -> Generator:
    """The codec for the base's tokenizer and chat template."""
    config = text_base.read_config(run.base)
    _check_kind(config)
    run.longest = limit_of(config)
    row = length_of(run.config.input, run.config.by_recipe, run.longest)
    tokenizer = _tokenizer(run)
    check_size(tokenizer, config.vocab_size)
    pad = pad_id_of(tokenizer, config, run.base, config.vocab_size)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    limits = Limits(row, max(row, min(run.longest or CONTEXT, CONTEXT)))
    reader = _reader(run, tokenizer, _ends(run, config, tokenizer), limits)
    run.figures["chat_template"] = reader.chat.name
    return Generator(reader, Memory(config.num_hidden_layers, heads, width), pad)


def _check_kind(config: Any) -> None:
    from transformers import __version__
    from transformers.models.auto import modeling_auto as known

    decoders = set(known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(known.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    if config.model_type not in decoders or getattr(config, "is_encoder_decoder", False):
        raise bad_base(
            f"spec.from.base is a model of type '{config.model_type}', which transformers {__version__} has no decoder "
            "alone for: choose a model such as llama, qwen2, mistral, gpt2 or gpt_neox"
        )


def _tokenizer(run: TrainRun) -> Any:
    try:
        return opened(run.base)
    except Exception as fault:
        raise bad_base(f"tokenizer.json of spec.from.base cannot be read ({fault}): upload the model again") from fault


def _ends(run: TrainRun, config: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer: what settings and tokenizer say."""
    named = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    named = [*named, tokenizer.token_to_id(chat.special_of(run.base).get("eos_token", ""))]
    ends = [number for number in dict.fromkeys(named) if isinstance(number, int) and 0 <= number < config.vocab_size]
    if not ends:
        raise bad_base(
            "spec.from.base has no token that ends a text: neither eos_token_id of config.json nor eos_token of "
            "tokenizer_config.json name one; add it"
        )
    return ends


def _reader(run: TrainRun, tokenizer: Any, ends: list[int], limits: Limits) -> ChatReader:
    """A version goes on with the template that it was trained with."""
    special = {"eos_token": tokenizer.id_to_token(ends[0]), **chat.special_of(run.base)}
    try:
        beside = text_base.beside(run.base)
        if run.parent is not None:
            found = chat.Chat.load(run.base, {**run.parent.codec["chat"], "day": date.today().isoformat()})
            return ChatReader(tokenizer, found, run.parent.codec["ends"], limits, run.prepare, beside)
        return with_end_of(ChatReader(tokenizer, chat.chat_of(run.base, special), ends, limits, run.prepare, beside))
    except chat.TemplateFault as fault:
        raise bad_base(f"spec.from.base: {fault}; correct chat_template in its {chat.SETTINGS}") from fault


def load_model(run: TrainRun, codec: Generator) -> tuple[Any, list[str]]:
    """A torch model in fp32, and the names of weights that the folder did not bring."""
    from transformers import AutoModelForCausalLM

    return text_base.load_pretrained(AutoModelForCausalLM, run.base, codec.pad)


def guessing(codec: Generator) -> float:
    """Of tokens that are all as likely."""
    return math.log(codec.size)


def targets(codec: Generator, row: Fields, reading: Reading) -> np.ndarray:
    """The learned tokens at their places, and what does not count at the others."""
    ids: np.ndarray = reading.inputs["input_ids"].astype(np.int64)
    found: np.ndarray = np.where(reading.inputs["learned"] > 0, ids, learning.IGNORED)
    return found


def collate(codec: Generator, readings: Sequence[Reading], targets: Sequence[np.ndarray]) -> dict[str, Any]:
    """Token ids, mask, and the learned ones among them."""
    return learning.with_sequences(codec, readings, targets, max(map(len, targets)))


def judged(
    model: Any, inputs: Mapping[str, Any], codec: Generator, readings: Sequence[Reading]
) -> tuple[float, list[Scored]]:
    """Mean loss and scores of the learned tokens, in parts whose logits fit into memory."""
    width = inputs["input_ids"].shape[1]
    step, found = max(1, NUMBERS // (width * codec.size)), list[Scored]()
    for at in range(0, len(readings), step):
        ids, mask = (inputs[name][at : at + step] for name in ("input_ids", "attention_mask"))
        logits = model(input_ids=ids, attention_mask=mask).logits.float()
        for row, reading in enumerate(readings[at : at + step]):
            places = np.flatnonzero(reading.inputs["learned"])
            wanted = reading.inputs["input_ids"][places].astype(np.int64)
            found.append(Scored(*decoding.judged(logits[row, places - 1].detach().cpu().numpy(), wanted)))
    tokens = sum(len(one.scores) for one in found)
    return -math.fsum(float(one.scores.astype(np.float64).sum()) for one in found) / max(1, tokens), found


def parts(model: Any) -> dict[str, Part]:
    """One pass over tokens, with what is remembered of those before them."""
    import torch
    from transformers.cache_utils import DynamicCache

    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    chosen = "logits_to_keep" in inspect.signature(plain.forward).parameters
    memory = memory_of(plain)

    class Decoder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = plain

        def forward(self, input_ids: Any, attention_mask: Any, position_ids: Any, keep: Any, *past: Any) -> Any:
            before = DynamicCache(ddp_cache_data=list(zip(past[::2], past[1::2], strict=True)))
            given = {"input_ids": input_ids, "attention_mask": attention_mask, "past_key_values": before}
            if "position_ids" in known:
                given["position_ids"] = position_ids
            if chosen:
                given["logits_to_keep"] = keep
            found = self.model(**given, use_cache=True)
            logits = found.logits if chosen else found.logits[:, keep]
            layers = found.past_key_values.layers
            return (logits, *(one for layer in layers for one in (layer.keys, layer.values)))

    known = inspect.signature(plain.forward).parameters
    example = _example(memory)
    free = {name: (0,) if name == "logits_to_keep" else (0, 2 if name.startswith(PAST) else 1) for name in example}
    outputs = ("logits", *(f"{PRESENT}.{name}" for name in memory.names))
    return {"model": Part(Decoder().eval(), example, outputs, free)}


def memory_of(model: Any) -> Memory:
    """What a model remembers of a token, as it gives it."""
    import torch

    with torch.inference_mode():
        ids = torch.ones((1, 1), dtype=torch.long, device=next(model.parameters()).device)
        layers = model(input_ids=ids, use_cache=True).past_key_values.layers
    return Memory(len(layers), layers[0].keys.shape[1], layers[0].keys.shape[3])


def _example(memory: Memory) -> Arrays:
    """Two rows of four tokens after three that are remembered."""
    past: np.ndarray = np.zeros((2, memory.heads, 3, memory.width), dtype=np.float32)
    return {
        "input_ids": np.ones((2, 4), dtype=np.int64),
        "attention_mask": np.ones((2, 7), dtype=np.int64),
        "position_ids": np.tile(np.arange(3, 7, dtype=np.int64), (2, 1)),
        "logits_to_keep": np.array([1, 3], dtype=np.int64),
        **{f"{PAST}.{name}": past for name in memory.names},
    }


def baselines(codec: Generator) -> Mapping[str, Callable[[Sequence[Fields], Sequence[Fields]], list[Answer]]]:
    """How often each token stands in answers, whatever is before it; the base itself is judged beside these."""
    return {"unigram": partial(unigram, codec)}


def unigram(codec: Generator, train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """Tokens as likely as they are frequent in the answers of training rows, each counted once more."""
    counts: Counter[int] = Counter()
    for reading in codec.read([instance(row) for row in train[:COUNTED]]):
        counts.update(_learned(reading))
    total, commonest = counts.total() + codec.size, counts.most_common(1)[0][0]
    answers = []
    for reading in codec.read([instance(row) for row in test]):
        tokens = _learned(reading)
        found = math.fsum(math.log((counts[token] + 1) / total) for token in tokens)
        right = sum(token == commonest for token in tokens)
        answers.append({"finish_reason": SCORED, "tokens": len(tokens), "logprob": found, "right": right})
    return answers


def _learned(reading: Reading) -> list[int]:
    learned: list[int] = reading.inputs["input_ids"][reading.inputs["learned"] > 0].tolist()
    return learned
