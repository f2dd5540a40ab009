"""How an answerer reads questions and contexts, with the tokenizers of many bases, and what it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.api.dataset import Clean
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.served import same_reading
from modelyard_trainer.tasks.protocols import Arrays, Fields, Reading
from modelyard_trainer.tasks.question_answering import learner
from modelyard_trainer.tasks.question_answering.codec import MOST_WINDOWS, Answerer, Settings, kept_of, load
from modelyard_trainer.tasks.question_answering.rows import instance
from modelyard_trainer.tasks.texts import TextReader, load_tokenizer
from tests.trainer.architectures import ARCHITECTURES

QUESTION = "what thing1 great?"
CONTEXT = (
    "the day e\u0301 was \ufb01ne, \uff21\uff22 great\u3000place \U0001f469\u200d\U0001f467 "
    + "very dull day " * 30
    + "wow lovely thing2!"
)
ANSWERS = ("\ufb01ne", "great\u3000place", "lovely thing2")
EVERY = pytest.mark.parametrize("name", ["bert", "roberta", "xlm-roberta", "deberta-v2"])
"""Pieces of words, bytes, and pieces with spaces in two kinds."""


def answerer(name: str, folder: Path, max_length: int = 40, longest: int = 20) -> Answerer:
    ARCHITECTURES[name].tokenizer().save(str(folder / "tokenizer.json"))
    return Answerer(TextReader(load_tokenizer(folder, max_length), 0, max_length, [Clean()]), Settings(longest, True))


def row(answer: str, question: str = QUESTION, context: str = CONTEXT) -> Fields:
    found = [{"start": context.index(answer), "text": answer}] if answer else []
    return {"question": question, "context": context, "answers": found}


def sure(codec: Answerer, reading: Reading, target: np.ndarray) -> list[Any]:
    """What a model answers that points where the targets of all windows say."""
    width = codec.batch([reading])["input_ids"].shape[1]
    logits: np.ndarray = np.full((len(target), width, 2), -9.0, dtype=np.float32)
    for side in range(2):
        logits[np.arange(len(target)), target[:, side], side] = 9.0
    return [codec.decode(codec.outputs({"logits": logits}, [reading])[0], reading)]


@EVERY
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_target_means_the_answer_wherever_it_stands(name: str, answer: str, tmp_path: Path) -> None:
    """Each window points at it or at none, and what is answered is what was sent, of however many characters."""
    codec = answerer(name, tmp_path)
    one = row(answer)
    [reading] = codec.read([instance(one)])
    target = learner.targets(codec, one, reading)
    assert len(target) > 2 and 0 < (target[:, 1] > 0).sum() < len(target)
    [found] = sure(codec, reading, target)
    assert CONTEXT[found["start"] : found["end"]] == found["answer"]
    assert answer in found["answer"]
    assert len(found["answer"]) <= len(answer) + 2, found
    assert found["score"] == pytest.approx(1.0, abs=1e-3)


@EVERY
def test_windows_hold_the_question_and_all_of_the_context(name: str, tmp_path: Path) -> None:
    codec = answerer(name, tmp_path)
    [reading] = codec.read([instance(row(""))])
    kept, found = kept_of(reading), codec.batch([reading])
    whole = reading.inputs["input_ids"]
    assert found["input_ids"].shape == found["token_type_ids"].shape == (len(kept.first), 40)
    assert not reading.cut
    seen = set[int]()
    for first, ids in zip(kept.first, found["input_ids"], strict=True):
        assert ids[: kept.lead].tolist() == whole[: kept.lead].tolist()
        inside = whole[kept.lead + first : kept.lead + first + kept.room]
        assert ids[kept.lead : kept.lead + kept.room].tolist() == inside.tolist()
        seen.update(range(first, first + kept.room))
    assert seen == set(range(len(kept.places)))
    assert not learner.targets(codec, row(""), reading).any()


@EVERY
def test_a_version_reads_as_its_training_did(name: str, tmp_path: Path) -> None:
    codec = answerer(name, tmp_path)
    (tmp_path / "version").mkdir()
    settings = json.loads(json.dumps(codec.save(tmp_path / "version")))
    again = load(tmp_path / "version", settings, [])
    assert again.settings == codec.settings
    for one in (instance(row("")), *codec.odd()):
        [mine], [other] = codec.read([one]), again.read([codec.as_sent(one)])
        assert same_reading(mine, other)
        kept = again.unpacked(codec.packed(mine, {}), lambda one=one: one)  # type: ignore[misc]
        assert same_reading(mine, kept) and (mine.size, mine.cut) == (kept.size, kept.cut or mine.cut)
        assert (kept_of(mine).places == kept_of(kept).places).all()


@EVERY
def test_odd_instances_are_answered(name: str, tmp_path: Path) -> None:
    codec = answerer(name, tmp_path)
    odd = [*codec.odd(), {"question": "", "context": ""}, {"question": "why " * 500, "context": "a"}]

    def graph(arrays: Arrays) -> Arrays:
        assert arrays["input_ids"].shape[1] <= 40
        return {"logits": np.random.default_rng(1).normal(size=(*arrays["input_ids"].shape, 2)).astype(np.float32)}

    readings = codec.read(odd)
    for one, output, reading in zip(odd, codec.answer({"model": graph}, readings), readings, strict=True):
        found = codec.decode(output, reading)
        assert codec.finite(found)
        assert one["context"][found["start"] : found["end"]] == found["answer"]


def test_a_text_without_end_is_read_in_bounded_windows_and_passes(tmp_path: Path) -> None:
    codec = answerer("bert", tmp_path)
    [reading] = codec.read([{"question": QUESTION, "context": "day " * 20_000}])
    assert reading.cut and len(kept_of(reading).first) == MOST_WINDOWS
    passes = []

    def graph(arrays: Arrays) -> Arrays:
        passes.append(arrays["input_ids"].size)
        return {"logits": np.zeros((*arrays["input_ids"].shape, 2), dtype=np.float32)}

    [output] = codec.answer({"model": graph}, [reading])
    assert len(output) == MOST_WINDOWS
    assert max(passes) <= 4096
    assert codec.decode(output, reading)["answer"] == ""


def test_in_training_a_row_is_one_window_that_holds_the_answer_every_other_time(tmp_path: Path) -> None:
    codec = answerer("bert", tmp_path)
    one = row(ANSWERS[-1])
    [reading] = codec.read([instance(one)])
    target = learner.targets(codec, one, reading)
    drawn = [learner.augmented(codec, reading, target, np.random.default_rng([7, epoch])) for epoch in range(200)]
    assert all(len(found) == 1 == len(codec.batch([window])["input_ids"]) for window, found in drawn)
    assert 60 < sum(bool(found.any()) for _, found in drawn) < 140
    assert len({int(kept_of(window).first[0]) for window, _ in drawn}) == len(target)
    again = learner.augmented(codec, reading, target, np.random.default_rng([7, 3]))
    assert (kept_of(again[0]).first == kept_of(drawn[3][0]).first).all()


def test_a_tokenizer_that_does_not_tell_where_its_tokens_are_is_refused(tmp_path: Path) -> None:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "x": 1}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Replace(Regex(r"[\s\S]+"), "x x x x")
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    codec = Answerer(TextReader(load_tokenizer(tmp_path, 40), 0, 40, [Clean()]), Settings(20, False))
    with pytest.raises(TrainerError, match=r"does not tell where in a text its tokens are"):
        learner._check_places(codec, [row(answer) for answer in ANSWERS])


def test_measures_stand_for_the_rows_that_there_are(tmp_path: Path) -> None:
    codec = answerer("bert", tmp_path)
    answers = [{"answer": "great\u3000place"}, {"answer": ""}]
    rows = [row(ANSWERS[1]), row("")]
    assert codec.measure(answers, rows).values == {
        "f1": 1.0,
        "exact_match": 1.0,
        "answerable_f1": 1.0,
        "answerable_exact_match": 1.0,
        "unanswerable_accuracy": 1.0,
    }
    assert codec.measure(answers[::-1], rows).values == dict.fromkeys(codec.measure(answers, rows).values, 0.0)
    assert set(codec.measure(answers[:1], rows[:1]).values) == {
        "f1",
        "exact_match",
        "answerable_f1",
        "answerable_exact_match",
    }


def test_two_outputs_are_the_same_answer_unless_a_sure_part_differs(tmp_path: Path) -> None:
    codec = answerer("bert", tmp_path)
    logits: np.ndarray = np.zeros((1, 5, 2), dtype=np.float32)
    logits[0, 2], other, near = (3.0, 3.0), logits.copy(), logits.copy()
    other[0, 4] = 5.0
    near[0, 2], near[0, 3] = (3.0, 2.999), (0.0, 3.0)
    assert not codec.same_answer(logits, other, 0.1)
    assert codec.same_answer(near, logits, 0.01)
    assert not codec.same_answer(logits, np.zeros_like(logits), 0.1)
