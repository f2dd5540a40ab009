"""Models of the transformers library that point at an answer's first and last token."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modelyard_trainer.errors import bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import text_base
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Part, Reading
from modelyard_trainer.tasks.question_answering.codec import Answerer, Settings, at_once, kept_of
from modelyard_trainer.tasks.question_answering.rows import ANSWERS, CONTEXT, QUESTION, instance
from modelyard_trainer.tasks.question_answering.spans import normalized, scores, tokens_of

ADAPTER_TASK = "QUESTION_ANS"
LINEAR_PROBE = False
MEASURED = 5000
"""Training rows whose answers say how long one may be."""
CHECKED = 50
"""Training rows whose answers must be found again by their tokens."""
FOUND = 0.5
"""Mean f1 of what is found again, at least."""
SENTENCE = re.compile(r"\S(?:.*?[.!?](?=\s|$)|.*?(?=\n\s*\n)|.*)", re.DOTALL)
WORD = re.compile(r"\w+")


def fit(run: TrainRun) -> Answerer:
    """The codec for the base's tokenizer; BASE_INVALID for one that does not tell where in a text its tokens are."""
    from transformers import __version__
    from transformers.models.auto import modeling_auto as auto

    config = text_base.read_config(run.base)
    kind = config.model_type
    known = kind in auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES and kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if not known or config.is_encoder_decoder:
        raise bad_base(
            f"spec.from.base is a model of type '{kind}', of which transformers {__version__} makes none that finds "
            "answers by both sides of a text: choose a text encoder, such as bert, roberta, deberta-v2 or modernbert"
        )
    reader = text_base.fit_reader(run, config)
    rows = [row for row in run.rows["train"][:MEASURED] if row[ANSWERS]]
    reader.tokenizer.no_truncation()
    sizes = [len(ids) for ids, _ in reader.ids([one["text"] for row in rows for one in row[ANSWERS]])]
    longest = max([*sizes, run.parent.codec.get("longestAnswer", 0) if run.parent else 0, 1])
    codec = Answerer(reader, Settings(min(longest, reader.max_length), has_types(config)))
    _check_places(codec, rows[:CHECKED])
    return codec


def _check_places(codec: Answerer, rows: Sequence[Fields]) -> None:
    """What tokens of an answer stand for must be that answer."""
    found = []
    for row, reading in zip(rows, codec.read([instance(row) for row in rows]), strict=True):
        places, right = kept_of(reading).places, row[ANSWERS][0]
        first, last = tokens_of(places, right["start"], right["start"] + len(right["text"]))
        text = row[CONTEXT][places[first, 0] : places[last, 1]] if first <= last < len(places) else ""
        found.append(scores(text, [right["text"]])[0])
    if found and sum(found) < FOUND * len(found):
        raise bad_base(
            f"tokenizer.json of spec.from.base does not tell where in a text its tokens are: of {len(found)} answers "
            f"of training rows, what their tokens stand for is like the answer by {sum(found) / len(found):.0%} (f1). "
            "Choose a base with another tokenizer"
        )


def has_types(config: Any) -> bool:
    """Whether models of this kind are told which tokens are of the first and which of the second text."""
    return int(getattr(config, "type_vocab_size", 0) or 0) > 1


def load_model(run: TrainRun, codec: Answerer) -> tuple[Any, list[str]]:
    """A torch model in fp32, and the names of weights that the folder did not bring."""
    from transformers import AutoModelForQuestionAnswering

    return text_base.load_pretrained(AutoModelForQuestionAnswering, run.base, codec.reader.pad_id, num_labels=2)


def guessing(codec: Answerer) -> float:
    """Of tokens that are all as likely."""
    return math.log(codec.reader.max_length)


def targets(codec: Answerer, row: Fields, reading: Reading) -> np.ndarray:
    """Per window its first and last token of the first right answer, of shape (windows, 2).

    A window that does not hold all of it points at its own first token, which stands for no answer.
    """
    kept = kept_of(reading)
    found: np.ndarray = np.zeros((len(kept.first), 2), dtype=np.int64)
    if row[ANSWERS]:
        right = row[ANSWERS][0]
        first, last = tokens_of(kept.places, right["start"], right["start"] + len(right["text"]))
        inside = (first <= last) & (kept.first <= first) & (last < kept.first + kept.room)
        found[inside] = np.array([first, last]) - kept.first[inside, None] + kept.lead
    return found


def augmented(
    codec: Answerer, reading: Reading, target: np.ndarray, draw: np.random.Generator
) -> tuple[Reading, np.ndarray]:
    """One window of the row, drawn anew in each epoch: every other time, and where it is alone, one with the answer.

    So a row takes as much memory as a short one, and windows without an answer are no more than the others.
    """
    if len(target) == 1:
        return reading, target
    holds = target[:, 1] > 0
    wanted = holds if holds.all() or (holds.any() and draw.random() < 0.5) else ~holds
    number = int(draw.choice(np.flatnonzero(wanted)))
    return replace(reading, kept=kept_of(reading).window(number)), target[number : number + 1]


def collate(codec: Answerer, readings: Sequence[Reading], targets: Sequence[np.ndarray]) -> dict[str, Any]:
    """Token ids and mask of the windows, and the tokens that they point at."""
    import torch

    places: np.ndarray = np.concatenate(targets)
    pointed = {"start_positions": places[:, 0], "end_positions": places[:, 1]}
    return {name: torch.from_numpy(value) for name, value in {**codec.batch(readings), **pointed}.items()}


def items(inputs: Mapping[str, Any]) -> int:
    """Windows."""
    return len(inputs["start_positions"])


def judged(
    model: Any, inputs: Mapping[str, Any], codec: Answerer, readings: Sequence[Reading]
) -> tuple[float, list[np.ndarray]]:
    """Mean loss over windows, and their logits; no more windows at once than there are rows in a batch."""
    windows, loss, logits = items(inputs), 0.0, []
    most = at_once(len(readings), inputs["input_ids"].shape[1])
    for at in range(0, windows, most):
        part = {name: value[at : at + most] for name, value in inputs.items()}
        found = model(**part)
        loss += float(found.loss) * items(part) / windows
        logits.append(np.stack([one.float().cpu().numpy() for one in (found.start_logits, found.end_logits)], axis=-1))
    return loss, codec.outputs({"logits": np.concatenate(logits)}, readings)


def parts(model: Any) -> dict[str, Part]:
    """One pass: token ids, mask and, where the model takes them, types -> logits of first and last tokens."""
    import torch

    plain = model.get_base_model() if hasattr(model, "get_base_model") else model

    class Logits(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = plain

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            found = self.model(input_ids=input_ids, attention_mask=attention_mask, **types)
            return torch.stack([found.start_logits, found.end_logits], dim=-1)

    names = ["input_ids", "attention_mask", *(["token_type_ids"] if has_types(plain.config) else [])]
    example: Arrays = {name: np.ones((2, 8), dtype=np.int64) for name in names}
    return {"model": Part(Logits().eval(), example, ("logits",), {name: (0, 1) for name in example})}


def baselines(codec: Answerer) -> Mapping[str, Callable[[Sequence[Fields], Sequence[Fields]], list[Answer]]]:
    """The first sentence of each context, and the one with most of the question's words."""
    return {"first_sentence": first_sentences, "likest_sentence": likest_sentences}


def first_sentences(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """What begins each context."""
    return [{"answer": next(sentences(row[CONTEXT]), "")} for row in test]


def likest_sentences(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """The sentence that has most words in common with the question, of several the shortest."""
    return [{"answer": _likest(row[QUESTION], list(sentences(row[CONTEXT])))} for row in test]


def sentences(text: str) -> Iterator[str]:
    """Its sentences: up to a stop with a space behind it, or an empty line."""
    return (found.group() for found in SENTENCE.finditer(text))


def _likest(question: str, found: Sequence[str]) -> str:
    asked = _words(question)
    return max(found, key=lambda one: (len(asked & _words(one)), -len(one)), default="")


def _words(text: str) -> set[str]:
    return set(WORD.findall(normalized(text)))
