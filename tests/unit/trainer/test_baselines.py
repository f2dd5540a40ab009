"""The baselines: they read any script, their memory is bounded, and their failure is nobody else's."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from modelyard_trainer import baselines as module
from modelyard_trainer.baselines import SOLVER_BYTES, SOLVER_COPIES, baselines, most_features, word_counts
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks.protocols import Fields
from modelyard_trainer.tasks.text_classification import learner
from modelyard_trainer.tasks.text_classification.codec import TextClassifier

SCRIPTS = {
    "chinese": ("的一是在不了有和人这中大为上个国我以要他时来用们", ("价格很贵", "味道很好", "服务周到")),
    "japanese": ("のにはをたがでてとしれさあるいるもすかな", ("値段が高い", "美味しい", "親切な店")),
    "thai": ("กขคงจชซญดตถทนบปผพฟมยรลวสหอ", ("ราคาแพง", "อร่อยมาก", "บริการดี")),
    "english": (["thing", "place", "day", "was", "the", "very"], (" costly ", " tasty ", " friendly ")),
}


def rows(script: str, count: int) -> list[Fields]:
    """The class follows from one phrase inside of a text that nothing separates."""
    letters, phrases = SCRIPTS[script]
    chance, space = random.Random(5), " " if script == "english" else ""
    found = []
    for number in range(count):
        before, after = (space.join(chance.choices(letters, k=chance.randint(3, 7))) for _ in range(2))
        found.append({"text": f"{before}{phrases[number % 3]}{after}", "label": f"class {number % 3}"})
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_words_are_found_in_scripts_without_spaces(script: str) -> None:
    known = rows(script, 75)
    guesses = word_counts(known[:45], known[45:])
    assert sum(guess["label"] == row["label"] for guess, row in zip(guesses, known[45:], strict=True)) > 27


def test_words_of_two_scripts_in_one_text() -> None:
    phrases = SCRIPTS["chinese"][1]
    known = [{"text": f"thing {phrases[number % 2]} place {number}", "label": str(number % 2)} for number in range(80)]
    assert [guess["label"] for guess in word_counts(known[:60], known[60:])] == [row["label"] for row in known[60:]]


@pytest.mark.parametrize("classes", [1, 2, 5, 77, 1000])
def test_what_the_solver_holds_is_bounded(classes: int) -> None:
    assert 8 * SOLVER_COPIES * classes * most_features(classes) <= SOLVER_BYTES


def test_features_and_pieces_of_long_texts_are_bounded(monkeypatch: Any) -> None:
    import sklearn.linear_model

    seen: list[tuple[int, ...]] = []

    class Watched(sklearn.linear_model.LogisticRegression):  # type: ignore[misc]
        def fit(self, X: Any, y: Any) -> Any:  # noqa: N803
            seen.append((*X.shape, int(X.getnnz(axis=1).max())))
            return super().fit(X, y)

    monkeypatch.setattr(sklearn.linear_model, "LogisticRegression", Watched)
    monkeypatch.setattr(module, "MOST_PIECES", 40 * 2 * 10)
    monkeypatch.setattr(module, "SOLVER_BYTES", SOLVER_COPIES * 8 * 4 * 100)
    known = [{"text": " ".join(f"w{n}x{at}" for at in range(300)), "label": f"class {n % 4}"} for n in range(40)]
    assert len(word_counts(known, known[:5])) == 5
    assert seen == [(40, 100, seen[0][2])]
    assert seen[0][2] <= 2 * 10


def a_run(train: list[Fields], test: list[Fields], *more: str) -> TrainRun:
    """What of a run the baselines look at."""
    labels = sorted({row["label"] for row in train} | set(more))
    codec = TextClassifier(
        cast(Any, SimpleNamespace(**dict.fromkeys(("read", "packed", "unpacked", "batch", "extremes", "save")))), labels
    )
    config = SimpleNamespace(task="text-classification")
    return cast(TrainRun, SimpleNamespace(config=config, codec=codec, rows={"train": train, "test": test}))


@pytest.mark.parametrize("fault", [MemoryError("no memory for this"), ValueError("empty vocabulary")])
def test_a_baseline_that_fails_is_missing(monkeypatch: Any, fault: Exception) -> None:
    def failing(*others: Any) -> list[str]:
        raise fault

    monkeypatch.setattr(learner, "word_counts", failing)
    known = rows("english", 30)
    found, missing = baselines(a_run(known[:20], known[20:]))
    assert set(found) == {"majority"}
    assert missing == {"tfidf_logistic_regression": f"{type(fault).__name__}: {fault}"}


def test_one_class_in_the_rows_is_no_fault_of_the_run() -> None:
    known = [{"text": f"thing {number}", "label": "only"} for number in range(9)]
    found, missing = baselines(a_run(known, known, "other"))
    assert set(found) == {"majority"}
    assert "2 classes" in missing["tfidf_logistic_regression"]
