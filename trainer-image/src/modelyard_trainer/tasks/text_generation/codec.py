"""Conversations in, answers out. A conversation that has its answer already is not answered: it is judged.

So what a version is measured by, how likely the right answers are, goes through the graph that serves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks import texts
from modelyard_trainer.tasks.decoding import NUMBERS, Memory, Running, Scored, scored
from modelyard_trainer.tasks.drafts import Draft, Generated, Wish, wish_of, written
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Graph, Instance, Packed, Reading, Tensor
from modelyard_trainer.tasks.text_generation.reader import ChatReader
from modelyard_trainer.tasks.text_generation.rows import ASSISTANT, MESSAGES, TEXT, Messages, in_order, turns

KIND = TASKS["text-generation"]
PROMPT = "prompt"
LEARNED = "learned"
"""Which tokens of a row are learned, among its inputs; of a row that has its answer alone."""
MOST_TOKENS, SAMPLE_TOKENS, ODD_TOKENS = 256, 16, 4
"""Tokens of an answer: where a request does not say, of a version's sample, and of odd requests at export."""
SCORED = "scored"
OVERFLOW = 700.0
"""Beyond it e to the power of a number is none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One instance of a request: a conversation or a text that is to go on."""

    messages: Messages
    wish: Wish
    prompt: str | None = None

    @property
    def judged(self) -> bool:
        """Whether it has its answer."""
        return self.prompt is None and self.messages[-1]["role"] in (ASSISTANT, TEXT)


class Generator:
    """Codec of a decoder; an output is Generated, or Scored for a conversation with its answer."""

    keys: tuple[str, ...] = (MESSAGES,)
    one_size: int | None = None
    labels: list[str] = []
    tensors: tuple[Tensor, ...] = (Tensor("text", "BYTES"), Tensor("logprob", "FP32"), Tensor("tokens", "INT32"))

    def __init__(self, reader: ChatReader, memory: Memory, pad: int) -> None:
        self.reader, self.memory, self.pad = reader, memory, pad

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""
        return self.reader.limits.context

    def parse(self, value: Any) -> Asked:
        """{"messages": [...]}, {"prompt": "..."}, JSON of messages, or what the user says; ValueError otherwise."""
        if isinstance(value, str | bytes):
            value = _of_text(texts.parse({texts.KEY: value}))
        if isinstance(value, dict) and isinstance(value.get(MESSAGES), dict):  # as a V2 tensor holds one
            value = value[MESSAGES]
        if not isinstance(value, dict) or (MESSAGES in value) == (PROMPT in value):
            raise ValueError(f"must have either '{MESSAGES}' or '{PROMPT}'")
        wish = wish_of(
            value, min(MOST_TOKENS, self.context // 2) if value.get("max_tokens") is None else self.context - 1
        )
        if PROMPT in value:
            return Asked([], wish, texts.parse({texts.KEY: value[PROMPT]}))
        return Asked(_conversation(value[MESSAGES]), wish)

    def read(self, values: Sequence[Any]) -> list[Reading]:
        """Token ids up to where the answer begins; of a conversation with its answer all, and which are judged."""
        return [self._read(self.parse(value)) for value in values]

    def packed(self, reading: Reading, row: Fields) -> Packed:
        """Token ids, and which are learned."""
        return reading.inputs

    def unpacked(self, packed: Packed, instance: Callable[[], Instance]) -> Reading:
        """From token ids."""
        return Reading(dict(packed), len(packed["input_ids"]))

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """int64 arrays input_ids and attention_mask of shape (rows, longest row)."""
        return texts.pad([reading.inputs["input_ids"] for reading in readings], self.pad)

    def outputs(self, found: Arrays, readings: Sequence[Reading]) -> list[Scored]:
        """One pass gives no answer: `answer` takes several."""
        raise NotImplementedError

    def answer(self, graphs: Mapping[str, Graph], readings: Sequence[Reading]) -> list[Scored | Generated]:
        """Scores of rows that have their answer, and answers to the others."""
        drafts = {at: draft for at, reading in enumerate(readings) if (draft := self.draft(reading))}
        judged = [at for at in range(len(readings)) if at not in drafts]
        found: dict[int, Scored | Generated] = {}
        for part in self._parts([readings[at].size for at in judged]):
            rows = [judged[at] for at in part]
            inputs, learned = [readings[at] for at in rows], [readings[at].inputs[LEARNED] for at in rows]
            outputs = scored(graphs["model"], self.memory, self.batch(inputs), learned, self.size)
            found |= dict(zip(rows, outputs, strict=True))
        if drafts:
            prompts = [readings[at].inputs["input_ids"].tolist() for at in drafts]
            running = Running(graphs["model"], self.memory, self.pad)
            found |= dict(zip(drafts, written(running, prompts, list(drafts.values())), strict=True))
        return [found[at] for at in range(len(readings))]

    @property
    def size(self) -> int:
        """Tokens of the vocabulary."""
        return int(self.reader.tokenizer.get_vocab_size())

    def draft(self, reading: Reading) -> Draft | None:
        """An answer that has no token yet; None for a conversation that has its answer."""
        if LEARNED in reading.inputs:
            return None
        return Draft(reading.kept, self.reader.tokenizer, self.reader.ends, self.pad)

    def decode(self, output: Scored | Generated, reading: Reading) -> Answer:
        """The text, why it ended, its tokens and how likely they are; of judged ones how many are right."""
        told = {"tokens": len(output.scores), "logprob": float(output.scores.astype(np.float64).sum())}
        if isinstance(output, Generated):
            return {"text": output.text, "finish_reason": output.reason, **told}
        return {"text": "", "finish_reason": SCORED, **told, "right": int((output.leads > 0).sum())}

    def values(self, answers: Sequence[Answer]) -> Arrays:
        """Texts, logarithms of their probabilities, and their tokens."""
        return {
            "text": np.array([answer["text"] for answer in answers], dtype=np.object_),
            "logprob": np.array([answer["logprob"] for answer in answers], dtype=np.float32),
            "tokens": np.array([answer["tokens"] for answer in answers], dtype=np.int32),
        }

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """Of the learned tokens of all rows together, as they were judged."""
        tokens = max(1, sum(answer["tokens"] for answer in answers))
        loss = -math.fsum(answer["logprob"] for answer in answers) / tokens
        values = {
            "perplexity": round(math.exp(min(loss, OVERFLOW)), 4),
            "token_accuracy": round(sum(answer["right"] for answer in answers) / tokens, 6),
        }
        return Metrics(set_=TEST, primary=KIND.primary, values=values)

    def difference(self, expected: Scored | Generated, found: Scored | Generated) -> float:
        """Largest difference of the logarithms of tokens' probabilities, as far as the tokens are the same."""
        alike = _alike(expected, found)
        return float(np.abs(expected.scores[:alike] - found.scores[:alike]).max(initial=0.0))

    def same_answer(self, expected: Scored | Generated, found: Scored | Generated, rounding: float) -> bool:
        """Whether tokens are as likely, and the same one is the likeliest but where two are `rounding` apart."""
        alike, about = _alike(expected, found), max(rounding, 1e-5)
        if isinstance(expected, Generated):
            whole = alike == len(expected.scores) == len(found.scores)
            return whole or bool(alike < len(expected.leads) and expected.leads[alike] <= about)
        near = np.abs(expected.leads) <= about
        scale = np.maximum(1.0, np.abs(expected.scores))
        close = np.abs(expected.scores - found.scores) <= about * scale
        return bool((close & (near | ((expected.leads > 0) == (found.leads > 0)))).all())

    def finite(self, answer: Answer) -> bool:
        """Whether its probability is a number."""
        return math.isfinite(answer["logprob"])

    def as_sent(self, instance: Instance) -> Instance:
        """What is said as people send it."""
        prepare = self.reader.prepare
        said = [{**one, "content": texts.as_sent(one["content"], prepare)} for one in instance[MESSAGES]]
        return {**instance, MESSAGES: said}

    def sample(self, instance: Instance) -> Instance:
        """The question alone, of bounded length, for a short answer; all of it in the one field that a tensor holds."""
        messages = [{**one, "content": one["content"][: texts.SAMPLE_CHARACTERS]} for one in instance[MESSAGES]]
        if messages[-1]["role"] == TEXT:
            words = messages[-1]["content"].split()
            return {MESSAGES: {PROMPT: " ".join(words[: max(1, len(words) // 2)]), "max_tokens": SAMPLE_TOKENS}}
        kept = messages[:1] if messages[0]["role"] == "system" else []
        return {MESSAGES: {MESSAGES: [*kept, messages[-2]], "max_tokens": SAMPLE_TOKENS}}

    def odd(self) -> list[Instance]:
        """Questions that no row holds but some request will."""
        said = ([{"role": "user", "content": text}] for text in texts.ODD if text.strip())
        return [{MESSAGES: messages, "max_tokens": ODD_TOKENS} for messages in said]

    def extremes(self, readings: Sequence[Reading]) -> list[Reading]:
        """A row as long as the run allows, made of a real one's tokens, and a short one."""
        known = sorted(readings, key=lambda reading: reading.size)
        length = max(2, min(self.reader.limits.row, texts.LONGEST_TRIED))
        ids: np.ndarray = np.resize(known[-1].inputs["input_ids"], length).astype(np.int32)
        learned: np.ndarray = np.ones(length, dtype=np.int32)
        learned[0] = 0
        return [Reading({"input_ids": ids, LEARNED: learned}, length), known[0]]

    def save(self, folder: Path) -> dict[str, Any]:
        """The tokenizer's file and the template; how conversations are read and what the decoder remembers."""
        memory = {"layers": self.memory.layers, "heads": self.memory.heads, "width": self.memory.width}
        return {**self.reader.save(folder), "memory": memory, "pad": self.pad}

    def _read(self, asked: Asked) -> Reading:
        if asked.judged:
            tokens = self.reader.whole(asked.messages)
            inputs = {
                name: np.asarray(value, np.int32)
                for name, value in (("input_ids", tokens.ids), (LEARNED, tokens.learned))
            }
            return Reading(inputs, len(tokens.ids), tokens.cut)
        ids = self.reader.plain(asked.prompt) if asked.prompt is not None else self.reader.prompt(asked.messages)
        most = self.context - asked.wish.max_tokens
        kept: np.ndarray = np.asarray(ids[-most:], dtype=np.int32)
        return Reading({"input_ids": kept}, len(kept) + asked.wish.max_tokens, len(ids) > most, asked.wish)

    def _parts(self, sizes: Sequence[int]) -> list[list[int]]:
        """Rows that are judged at once: so many that a pass over some tokens has not too many logits."""
        most = max(1, NUMBERS // (16 * self.size))
        return [list(range(at, min(at + most, len(sizes)))) for at in range(0, len(sizes), most)]


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> Generator:
    """From a version's folder."""
    return Generator(ChatReader.load(folder, settings), Memory(**settings["memory"]), settings["pad"])


def _of_text(text: str) -> dict[str, Any]:
    """What a tensor or a plain instance holds: JSON of an instance or of messages, or what the user says."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and (MESSAGES in found) != (PROMPT in found):
            return found
        if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
            return {MESSAGES: found}
    return {MESSAGES: [{"role": "user", "content": text}]}


def _conversation(value: Any) -> Messages:
    """Messages of a request; ValueError for roles that are none or in a wrong order."""
    messages = turns(MESSAGES, value) if isinstance(value, list) else []
    if not messages:
        raise ValueError(f'has no \'{MESSAGES}\': {{"role": "user", "content": "..."}} at least')
    for message in messages:
        texts.parse({texts.KEY: message["content"]})
    roles = [message["role"] for message in messages]
    if roles != [TEXT] and (not in_order(roles) or roles == ["system"]):
        raise ValueError(f"has the roles {', '.join(roles)}: user and assistant in turn, after system if there is one")
    return messages


def _alike(expected: Scored | Generated, found: Scored | Generated) -> int:
    """Tokens at the start that are the same; judged tokens always are."""
    both = min(len(expected.scores), len(found.scores))
    if not (isinstance(expected, Generated) and isinstance(found, Generated)):
        return both
    other = np.flatnonzero(expected.ids[:both] != found.ids[:both])
    return int(other[0]) if len(other) else both
