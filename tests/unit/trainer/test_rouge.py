"""ROUGE: the figures of the package rouge-score 0.1.2 (without stemmer) for ASCII, words of any script beside it."""

from __future__ import annotations

import pytest

from modelyard_trainer.tasks.summarization.learner import first_words
from modelyard_trainer.tasks.summarization.rouge import rouge, words

OF_THE_PACKAGE = [
    ("the cat sat on the mat", "the cat is on the mat", [0.833333, 0.6, 0.833333]),
    ("A tool, for e-mail!", "tool for reading e-mail_files v2.0", [0.615385, 0.363636, 0.615385]),
    ("", "x y", [0.0, 0.0, 0.0]),
    ("one two three", "three two one", [1.0, 0.0, 0.333333]),
    ("b a b a", "a b a b a c", [0.8, 0.75, 0.8]),
    ("utility to convert PDF files into plain text", "converts PDF to text", [0.5, 0.0, 0.333333]),
    ("same words here", "same words here", [1.0, 1.0, 1.0]),
]


@pytest.mark.parametrize(("found", "wanted", "expected"), OF_THE_PACKAGE)
def test_it_counts_as_the_package(found: str, wanted: str, expected: list[float]) -> None:
    both = rouge(found, wanted)
    assert list(both) == ["rouge1", "rouge2", "rougeL"]
    assert list(both.values()) == pytest.approx(expected, abs=1e-6)
    assert rouge(wanted, found) == pytest.approx(both)


def test_words_of_other_scripts_count() -> None:
    assert words("Über_uns, Привет 日本語 v2") == ["über", "uns", "привет", "日", "本", "語", "v2"]
    assert rouge("日本", "本日")["rouge1"] == 1.0


def test_the_first_words_are_as_many_as_summaries_have() -> None:
    train = [{"text": "x", "summary": "a b c"}, {"text": "x", "summary": "a b c d"}, {"text": "x", "summary": "a"}]
    assert first_words(train, [{"text": "one  two three four", "summary": ""}]) == [{"text": "one two three"}]
