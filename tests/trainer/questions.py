"""Small generated rows of questions: a word of the question tells of which kind the word is that answers it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.trainer.words import FILLING, TELLING, VOCABULARY

ASKED = {"thing1": "good", "thing2": "bad", "thing3": "plain"}
"""Word of a question -> kind of the word that answers it."""
OTHERS = FILLING[4:]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def question_rows(count: int, seed: int = 0, words: tuple[int, int] = (8, 16)) -> list[dict[str, Any]]:
    """Rows {"question", "context", "answers"} with so many words of context; one of five has no answer."""
    chance, found = random.Random(seed), dict[tuple[str, str], dict[str, Any]]()
    while len(found) < count:
        row = question_row(chance, chance.randint(*words))
        found[row["question"], row["context"]] = row
    return list(found.values())


def question_row(chance: random.Random, words: int, at: float | None = None) -> dict[str, Any]:
    """One row; its answer, if `at` is given, stands there: 0 at the start of the context, 1 at its end."""
    asked, kind = chance.choice(list(ASKED.items()))
    answer = chance.choice(TELLING[kind])
    parts = [chance.choice(OTHERS) for _ in range(words)]
    for other in sorted(set(TELLING) - {kind}):
        parts.insert(chance.randint(0, words), chance.choice(TELLING[other]))
    question = " ".join([asked, chance.choice(OTHERS), asked, asked])
    if at is None and chance.random() < 0.2:
        return {"question": question, "context": " ".join(parts), "answers": []}
    place = chance.randint(0, words) if at is None else round(at * len(parts))
    start = len(" ".join([*parts[:place], ""])) if place else 0
    context = " ".join([*parts[:place], answer, *parts[place:]])
    return {"question": question, "context": context, "answers": {"text": [answer], "answer_start": [start]}}


def write_pair_tokenizer(folder: Path) -> None:
    """A word-level tokenizer that sets two texts apart, as BERT's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {word: number for number, word in enumerate([*SPECIAL, *VOCABULARY])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", words["[CLS]"]), ("[SEP]", words["[SEP]"])],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
