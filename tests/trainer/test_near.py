"""Near copies: found against an exact count, first kept, in whatever order; other answers stay; nothing in memory."""

from __future__ import annotations

import json
import random
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode
from modelyard_trainer.data.near import GRAM, alike, bands, grams, without_near
from modelyard_trainer.data.rows import Record
from modelyard_trainer.tasks import rows_of
from tests.trainer.harness import BUCKET, TrainerHarness

ROWS = rows_of("text-classification")
WORDS = [line for line in Path(__file__).read_text().replace('"', " ").split() if line.isalpha() and len(line) > 2]


def groups(text: str) -> set[str]:
    """The groups of letters of a text, counted plainly."""
    text = text.ljust(GRAM)
    return {text[at : at + GRAM] for at in range(len(text) - GRAM + 1)}


def jaccard(a: str, b: str) -> float:
    first, second = groups(a), groups(b)
    return len(first & second) / len(first | second)


def changed(text: str, chance: random.Random) -> str:
    """The text with some of its words left out, doubled or replaced."""
    words = text.split()
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(words))
        words[at : at + 1] = chance.choice(([], [words[at], chance.choice(WORDS)], [chance.choice(WORDS)]))
        words = words or ["x"]
    return " ".join(words).lower()


def texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    found = [" ".join(chance.choices(WORDS, k=chance.randrange(4, 40))).lower() for _ in range(count)]
    return [*found, *(changed(chance.choice(found), chance) for _ in range(count))]


def records(rows: list[tuple[str, str]]) -> list[Record]:
    return [Record({"text": text, "label": label}) for text, label in rows]


def kept(rows: list[tuple[str, str]], folder: Path, threshold: float = 0.8) -> tuple[list[str], int]:
    removed = Counter[str]()
    found = list(without_near(records(rows), ROWS, threshold, folder / "near", removed))
    assert not (folder / "near").exists()
    return [record.row["text"] for record in found], removed["near"]


def test_similarity_is_that_of_sets() -> None:
    some = [*texts(40, 3), "", "a", "ab cd", "日本語のテキスト", "日本語のテキストだ", "e\u0301", "\U0001f600" * 7]
    first, second = some, [*some[1:], some[0]]
    found = alike(grams(first), grams(second))
    assert found.tolist() == pytest.approx([jaccard(a, b) for a, b in zip(first, second, strict=True)])


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("threshold", [0.8, 0.9])
def test_near_copies_are_found(seed: int, threshold: float, tmp_path: Path) -> None:
    some = list(dict.fromkeys(texts(400, seed)))
    has = [groups(text) for text in some]
    copies = {
        number
        for number in range(len(some))
        if any(len(has[number] & has[other]) / len(has[number] | has[other]) >= threshold for other in range(number))
    }
    found, removed = kept([(text, "a") for text in some], tmp_path, threshold)
    gone = {number for number, text in enumerate(some) if text not in set(found)}
    assert len(copies) > 50 and len(gone) == removed
    assert gone <= copies, "none goes that is no near copy"
    assert len(gone) >= 0.95 * len(copies), (len(gone), len(copies))
    assert found == [text for text in some if text in set(found)], "in their order"


def test_another_answer_is_no_copy(tmp_path: Path) -> None:
    text = "the service was good and the food came at once to our table by the window over the river"
    other = text.replace("good", "poor")
    assert jaccard(text, other) >= 0.8
    assert kept([(text, "a"), (other, "b")], tmp_path) == ([text, other], 0)
    assert kept([(text, "a"), (other, "a")], tmp_path) == ([text], 1)


def test_a_great_many_copies_of_one_text(tmp_path: Path) -> None:
    """A band's group is not compared all with all."""
    line = " ".join(WORDS[:30])
    rows = [(f"{line} number {number}", "a") for number in range(5000)]
    began = time.process_time()
    found, removed = kept(rows, tmp_path)
    assert (len(found), removed) == (1, 4999)
    assert time.process_time() - began < 60, "seconds: all with all would be 12 million comparisons"


def test_nothing_and_one(tmp_path: Path) -> None:
    assert kept([], tmp_path) == ([], 0)
    assert kept([("", "a")], tmp_path) == ([""], 0)


def test_bands_of_equal_groups_are_equal() -> None:
    found = bands(grams(["one two three", "one two three", "four five six seven"]))
    assert (found[0] == found[1]).all() and not np.intersect1d(found[0], found[2]).size


def prepared(harness: TrainerHarness, name: str, source: dict[str, Any], **more: Any) -> tuple[int, str, Any]:
    config = harness.prepare_config(name, source, **more)
    code, outcome = harness.run(config)
    if code != ExitCode.PUBLISHED:
        return code, outcome.message, None
    return code, "", json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]


STEPS = [{"clean": {}}, {"dedupe": {"method": "near"}}, {"split": {}}]


def test_no_near_copy_lies_in_two_splits(harness: TrainerHarness, tmp_path: Path) -> None:
    rows = [{"text": text, "label": "ab"[len(text) % 2]} for text in texts(300, 9)]
    uri = harness.put("raw/near.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    _, _, exact = prepared(harness, "near-exact", {"s3": {"uri": uri}})
    code, told, near = prepared(harness, "near-near", {"s3": {"uri": uri}}, steps=STEPS)
    assert code == ExitCode.PUBLISHED, told
    assert "near" not in exact["removed"] and near["removed"]["near"] > 0
    assert sum(near["rows"].values()) + near["removed"]["near"] == sum(exact["rows"].values())
    again = prepared(harness, "near-again", {"s3": {"uri": uri}}, steps=STEPS)[2]
    assert again["digest"] == near["digest"]


def test_of_pictures_near_copies_are_not_looked_for(harness: TrainerHarness) -> None:
    uri = harness.put("raw/near-pictures/a.png", b"x")
    source = {"s3": {"uri": uri.rpartition("/")[0] + "/"}}
    code, told, _ = prepared(harness, "near-image", source, task="image-classification", steps=STEPS)
    assert code == ExitCode.BAD_CONFIG
    assert "dedupe.method near" in told and "exact" in told


@pytest.mark.full
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    chance = random.Random(4)
    drawn = (" ".join(chance.choices(WORDS, k=25)) for _ in range(300_000))
    removed = Counter[str]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = without_near(
        (Record({"text": text, "label": "a"}) for text in drawn), ROWS, 0.8, tmp_path / "near", removed
    )
    assert sum(1 for _ in found) + removed["near"] == 300_000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 300, "MiB"
