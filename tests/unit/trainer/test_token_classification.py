"""Words and tags of rows, entities of tags, and what answers are worth."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from modelyard.api.dataset import Clean
from modelyard_trainer.tasks.protocols import Answer, Fields
from modelyard_trainer.tasks.token_classification import rows
from modelyard_trainer.tasks.token_classification.codec import measured
from modelyard_trainer.tasks.token_classification.words import Span, spans_of, tags_of, words_of

COLUMNS = {name: name for name in ("tokens", "tags")}
TOKENS, TAGS = ["Ada", "Lovelace", "left", "Paris", "."], ["B-PER", "I-PER", "O", "B-LOC", "O"]
ROW = {"tokens": TOKENS, "tags": TAGS}


def fields(**record: Any) -> Fields | None:
    return rows.fields(record, COLUMNS)


@pytest.mark.parametrize(
    "record",
    [
        ROW,
        {"tokens": json.dumps(TOKENS), "tags": json.dumps(TAGS)},
        {"tokens": " ".join(TOKENS), "tags": " ".join(TAGS)},
    ],
    ids=["lists", "json", "words"],
)
def test_a_row_may_be_written_in_several_ways(record: dict[str, Any]) -> None:
    assert fields(**record) == ROW


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "there are 2 words and 1 tags"),
        ({"tokens": ["a", "Paris"], "tags": ["O", "I-LOC"]}, "word 2 ('Paris') has the tag 'I-LOC' after 'O'"),
        ({"tokens": ["a", "b"], "tags": ["B-PER", "I-LOC"]}, "an entity begins with B-LOC"),
        ({"tokens": ["a", "b"], "tags": ["O", "S-LOC"]}, "such as IOBES"),
        ({"tokens": ["a"], "tags": ["B-"]}, "IOB2 knows"),
        ({"tokens": ["a"], "tags": [3]}, "column tags is no list of texts"),
        ({"tokens": {"a": 1}, "tags": ["O"]}, "column tokens is no list of texts"),
    ],
)
def test_a_row_that_is_wrong_is_told_apart(record: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=r"column") as fault:
        fields(**record)
    assert told in str(fault.value)


@pytest.mark.parametrize(
    "record",
    [
        {"tokens": None, "tags": ["O"]},
        {"tokens": ["a"], "tags": None},
        {"tokens": [" "], "tags": ["O"]},
        {"tokens": "", "tags": ""},
        {"tokens": float("nan"), "tags": "O"},
        {"words": ["a"]},
    ],
)
def test_a_row_without_words_or_tags_is_empty(record: dict[str, Any]) -> None:
    assert fields(**record) is None


def test_cleaning_keeps_words_in_their_places() -> None:
    row = {"tokens": ["\uff30aris", "\xa0", "left"], "tags": ["B-LOC", "O", "O"]}
    assert rows.cleaned(row, Clean()) == {"tokens": ["Paris", "", "left"], "tags": ["B-LOC", "O", "O"]}
    assert rows.cleaned({"tokens": ["a", "\xa0"], "tags": ["O", "B-LOC"]}, Clean()) == "empty"
    assert rows.cleaned({"tokens": ["\xa0"], "tags": ["O"]}, Clean()) == "empty"
    assert rows.cleaned({"tokens": ["a", "b"], "tags": ["O", "O"]}, Clean(min_chars=4)) == "short"


def test_types_of_entities_are_the_classes_of_a_row() -> None:
    assert rows.classes(ROW) == ("LOC", "PER")
    assert rows.classes({"tokens": ["a"], "tags": ["O"]}) == ()
    assert rows.relabelled(ROW, {"PER": "person"})["tags"] == ["B-person", "I-person", "O", "B-LOC", "O"]


def test_rows_of_the_same_words_are_the_same() -> None:
    wide = ["\uff21da", *TOKENS[1:]]
    assert rows.same(ROW) == rows.same({"tokens": wide, "tags": ["O"] * 5})
    assert rows.same(ROW) != rows.same({"tokens": [token.lower() for token in TOKENS], "tags": TAGS})
    assert rows.same({"tokens": ["a b"], "tags": ["O"]}) != rows.same({"tokens": ["a", "b"], "tags": ["O", "O"]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada left Paris.", ["Ada", "left", "Paris", "."]),
        ("  it's $5,\t\x00ok\n", ["it", "'", "s", "$", "5", ",", "ok"]),
        ("日本の首都", ["日", "本", "の首都"[0], "首", "都"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("naïve cafe\u0301", ["naïve", "cafe\u0301"]),
        ("", []),
        (" ", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    found = words_of(text)
    assert [text[start:end] for start, end in found] == words


def test_tags_and_spans_are_the_same_thing() -> None:
    chance = random.Random(0)
    for _ in range(300):
        spans, at, words = [], 0, 12
        while at < words:
            end = at + chance.randint(1, 3)
            if chance.random() < 0.5 and end <= words:
                spans.append(Span(at, end, chance.choice("XY")))
            at = end
        assert spans_of(tags_of(spans, words)) == spans


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["I-X", "I-X"], [(0, 2, "X")]),
        (["O", "I-X", "I-Y"], [(1, 2, "X"), (2, 3, "Y")]),
        (["B-X", "B-X", "I-X"], [(0, 1, "X"), (1, 3, "X")]),
        (["B-a-b", "I-a-b", "O"], [(0, 2, "a-b")]),
    ],
)
def test_a_models_tags_are_read_as_conlleval_reads_them(tags: list[str], spans: list[tuple[int, int, str]]) -> None:
    assert spans_of(tags) == spans


def conlleval(predicted: list[list[str]], true: list[list[str]]) -> tuple[int, int, int]:
    """Entities that are right, found and wanted, counted by the ends of chunks, as the script of CoNLL does."""

    def split(tag: str) -> tuple[str, str]:
        return (tag, "") if tag == "O" else (tag[0], tag[2:])

    def starts(before: str, tag: str) -> bool:
        (mark, label), (mark_before, label_before) = split(tag), split(before)
        return mark == "B" or (mark == "I" and (mark_before == "O" or label != label_before))

    def ends(before: str, tag: str) -> bool:
        (mark, label), (mark_before, label_before) = split(tag), split(before)
        return mark_before != "O" and (mark in "BO" or label != label_before)

    right = found = wanted = 0
    for guess, truth in zip(predicted, true, strict=True):
        open_ = False
        last_guess = last_truth = "O"
        for one, other in zip([*guess, "O"], [*truth, "O"], strict=True):
            if open_ and (ends(last_guess, one) or ends(last_truth, other)):
                right += ends(last_guess, one) and ends(last_truth, other)
                open_ = False
            both = starts(last_guess, one) and starts(last_truth, other) and split(one)[1] == split(other)[1]
            open_ = open_ or both
            found, wanted = found + starts(last_guess, one), wanted + starts(last_truth, other)
            last_guess, last_truth = one, other
    return right, found, wanted


def answer_of(tags: list[str]) -> Answer:
    return {"entities": [{**span._asdict(), "score": 1.0, "text": ""} for span in spans_of(tags)], "score": 1.0}


def test_metrics_are_those_of_conlleval() -> None:
    chance = random.Random(1)
    kinds = ["O", "O", "O", "B-X", "I-X", "B-Y", "I-Y"]
    true: list[list[str]] = []
    for _ in range(200):
        tags = chance.choices(kinds, k=chance.randint(1, 9))
        true.append(tags_of(spans_of(tags), len(tags)))
    guesses = [[tag if chance.random() < 0.7 else chance.choice(kinds) for tag in tags] for tags in true]
    found = measured(list(map(answer_of, guesses)), [{"tokens": tags, "tags": tags} for tags in true])
    right, predicted, wanted = conlleval(guesses, true)
    assert found.values["micro_f1"] == round(2 * right / (predicted + wanted), 6)
    only = {label: [[tag if tag[2:] == label else "O" for tag in tags] for tags in guesses] for label in "XY"}
    truth = {label: [[tag if tag[2:] == label else "O" for tag in tags] for tags in true] for label in "XY"}
    by_type = {label: conlleval(only[label], truth[label]) for label in "XY"}
    for label, (hits, made, there) in by_type.items():
        assert found.per_class[label]["precision"] == round(hits / made, 6)
        assert found.per_class[label]["recall"] == round(hits / there, 6)
        assert found.per_class[label]["f1"] == round(2 * hits / (made + there), 6)
        assert found.per_class[label]["support"] == there
    macro = sum(2 * hits / (made + there) for hits, made, there in by_type.values()) / 2
    assert found.values["macro_f1"] == pytest.approx(macro, abs=2e-6)


def test_accuracy_counts_words() -> None:
    found = measured([answer_of(["B-X", "O", "O"]), answer_of(["O"])], [{"tags": ["B-X", "I-X", "O"]}, {"tags": ["O"]}])
    assert found.values["accuracy"] == 0.75
    assert found.values["micro_f1"] == 0.0


def test_no_entities_at_all_are_no_division_by_zero() -> None:
    found = measured([answer_of(["O"])], [{"tags": ["O"]}])
    assert found.values == {"micro_f1": 0.0, "macro_f1": 0.0, "accuracy": 1.0}
    assert found.per_class == {}
