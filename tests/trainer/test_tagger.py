"""How a tagger reads words and texts, with the tokenizers of many bases, and what it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.api.dataset import Clean
from modelyard_trainer.served import same_reading
from modelyard_trainer.tasks.learning import IGNORED
from modelyard_trainer.tasks.protocols import Answer, Instance
from modelyard_trainer.tasks.texts import TextReader, load_tokenizer
from modelyard_trainer.tasks.token_classification import learner
from modelyard_trainer.tasks.token_classification.codec import Tagger, load
from tests.trainer.architectures import ARCHITECTURES

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
WORDS = ["thing1", "great", "", "the.", "</s>", "\u200b", "place", "日本", "wow"]
EVERY = pytest.mark.parametrize("name", sorted(ARCHITECTURES))


def tagger(name: str, folder: Path, max_length: int = 64) -> Tagger:
    ARCHITECTURES[name].tokenizer().save(str(folder / "tokenizer.json"))
    return Tagger(TextReader(load_tokenizer(folder, max_length), 0, max_length, [Clean()]), LABELS)


def answered(codec: Tagger, instance: Instance, tags: list[str], words: list[str]) -> Answer:
    """The answer of a model that is sure of a tag for each word that it reads."""
    [reading] = codec.read([instance])
    read = reading.kept.read
    wanted = [LABELS.index(tag) for tag in tags]
    logits: np.ndarray = np.full((max(reading.size, 1), len(LABELS)), -9.0, dtype=np.float32)
    logits[reading.kept.first[read], [wanted[word] for word in read]] = 9.0
    assert len(words) == len(reading.kept.first)
    return codec.decode(codec.outputs({"logits": logits[None]}, [reading])[0], reading)


@EVERY
def test_each_word_is_read_by_a_token_of_its_own_letters(name: str, tmp_path: Path) -> None:
    codec = tagger(name, tmp_path)
    [reading] = codec.read([{"text": WORDS}])
    assert not reading.cut
    text, encoding = " ".join(WORDS), codec.reader.tokenizer.encode(" ".join(WORDS))
    assert encoding.ids == reading.inputs["input_ids"].tolist()
    at = 0
    for word, token in zip(WORDS, reading.kept.first, strict=True):
        if token >= 0:
            start, end = encoding.offsets[token]
            assert at < end <= at + len(word)
            assert text[at:end].strip() == word[: end - at]
            assert not text[start:at].strip()
        at += len(word) + 1
    assert reading.kept.first[2] == -1
    assert (reading.kept.first[[0, 1, 3, 4, 6, 7, 8]] > -1).all()


@EVERY
def test_words_are_cut_where_the_model_ends(name: str, tmp_path: Path) -> None:
    codec = tagger(name, tmp_path, 16)
    [reading] = codec.read([{"text": ["great"] * 50}])
    assert reading.cut
    assert reading.size == 16
    first = reading.kept.first
    assert (first[: len(reading.kept.read)] >= 0).all()
    assert (first[len(reading.kept.read) :] == -1).all()
    assert answered(codec, {"text": ["great"] * 50}, ["O"] * 50, ["great"] * 50)["entities"] == []


@EVERY
def test_odd_instances_are_answered(name: str, tmp_path: Path) -> None:
    codec = tagger(name, tmp_path)
    for reading in codec.read(codec.odd()):
        found = codec.batch([reading])
        logits = np.zeros((1, found["input_ids"].shape[1], len(LABELS)), dtype=np.float32)
        assert codec.finite(codec.decode(codec.outputs({"logits": logits}, [reading])[0], reading))


@EVERY
def test_a_version_reads_as_its_training_did(name: str, tmp_path: Path) -> None:
    codec = tagger(name, tmp_path)
    (tmp_path / "version").mkdir()
    settings = json.loads(json.dumps(codec.save(tmp_path / "version")))
    again = load(tmp_path / "version", settings, LABELS)
    for instance in ({"text": WORDS}, *codec.odd()):
        [one], [other] = codec.read([instance]), again.read([codec.as_sent(instance)])
        assert same_reading(one, other)
        assert (one.kept.first == other.kept.first).all()


def test_entities_of_a_text_are_counted_in_characters(tmp_path: Path) -> None:
    codec = tagger("bert", tmp_path)
    text, words = "  Great  thing1, in \u3000place.", ["Great", "thing1", ",", "in", "place", "."]
    found = answered(codec, {"text": text}, ["B-PER", "I-PER", "O", "O", "B-LOC", "O"], words)
    assert [(one["start"], one["end"], one["label"], one["text"]) for one in found["entities"]] == [
        (2, 15, "PER", "Great  thing1"),
        (21, 26, "LOC", "place"),
    ]
    assert all(text[one["start"] : one["end"]] == one["text"] for one in found["entities"])
    assert found["score"] == pytest.approx(1.0, abs=1e-4)


def test_entities_of_words_are_counted_in_words(tmp_path: Path) -> None:
    codec = tagger("bert", tmp_path)
    words = ["Great", "thing1", ",", "place"]
    found = answered(codec, {"text": words}, ["B-PER", "I-PER", "O", "B-LOC"], words)
    assert [(one["start"], one["end"], one["label"], one["text"]) for one in found["entities"]] == [
        (0, 2, "PER", "Great thing1"),
        (3, 4, "LOC", "place"),
    ]
    values = codec.values([found, {"entities": [], "score": 1.0}])
    assert json.loads(str(values["entities"][0])) == found["entities"]
    assert values["entities"][1] == "[]"
    assert values["score"].dtype == np.float32


@pytest.mark.parametrize(
    ("value", "words", "text"),
    [
        ({"text": "a b."}, ["a", "b", "."], "a b."),
        ({"text": ["a b", "c"]}, ["a b", "c"], None),
        ("a b", ["a", "b"], "a b"),
        (b'["a", "b."]', ["a", "b."], None),
        ('["a", "b."]', ["a", "b."], None),
        ({"text": '["a"]'}, ["[", '"', "a", '"', "]"], '["a"]'),
        (b"[1, 2]", ["[", "1", ",", "2", "]"], "[1, 2]"),
        (b"[a]", ["[", "a", "]"], "[a]"),
        (["a", "b"], ["a", "b"], None),
    ],
)
def test_forms_of_an_instance(value: Any, words: list[str], text: str | None, tmp_path: Path) -> None:
    asked = tagger("bert", tmp_path).parse(value)
    assert (asked.words, asked.text) == (words, text)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"words": ["a"]}, "has no 'text'"),
        ({"text": ["a", 3]}, "must be a string, not int"),
        ({"text": ["a", ["b"]]}, "must be a string, not list"),
        (3, "must be a string, not int"),
        (None, "must be a string, not NoneType"),
        ({"text": None}, "must be a string, not NoneType"),
        (["\ud800"], "not valid Unicode"),
        (b"\xff", "not valid Unicode"),
    ],
)
def test_what_is_no_instance_is_told(value: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=told):
        tagger("bert", tmp_path).parse(value)


def test_a_number_that_is_none_is_seen(tmp_path: Path) -> None:
    """Though the likeliest tag of no numbers is the first, which is outside."""
    codec = tagger("bert", tmp_path)
    [reading] = codec.read([{"text": "great"}])
    assert not codec.finite(codec.decode(np.full((1, len(LABELS)), np.nan, dtype=np.float32), reading))


def test_two_outputs_are_the_same_answer_unless_a_sure_tag_differs(tmp_path: Path) -> None:
    codec = tagger("bert", tmp_path)
    one: np.ndarray = np.array([[0.0, 1.0, 0, 0, 0], [2.0, 1.99, 0, 0, 0]], dtype=np.float32)
    close, other = one.copy(), one.copy()
    close[1, 1], other[0, 0] = 2.005, 1.5
    assert codec.difference(one, close) == pytest.approx(0.015, abs=1e-6)
    assert codec.same_answer(one, close, 0.03)
    assert not codec.same_answer(one, close, 0.001)
    assert not codec.same_answer(one, other, 0.03)


def test_the_loss_counts_the_first_token_of_each_word(tmp_path: Path) -> None:
    codec = tagger("bert", tmp_path)
    rows = [{"tokens": ["thing1", "unheard-of"], "tags": ["B-PER", "O"]}, {"tokens": ["\u200b"], "tags": ["O"]}]
    read = codec.read([{"text": row["tokens"]} for row in rows])
    targets = [learner.targets(codec, row, reading) for row, reading in zip(rows, read, strict=True)]
    inputs = learner.collate(codec, read, targets)
    labels = inputs["labels"].numpy()
    assert labels.shape == inputs["input_ids"].shape
    assert learner.items(inputs) == 3  # two words, and one token of the row whose only word is not read
    first = read[0].kept.first
    assert labels[0, first].tolist() == [LABELS.index("B-PER"), 0]
    assert (np.delete(labels[0], first) == IGNORED).all()
