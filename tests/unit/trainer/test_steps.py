"""Preparation: order of the source never matters, no text is on two sides, removed rows are counted."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.dataset import Clean, Dedupe, Split, Step
from modelyard_trainer.data.checks import check_rows
from modelyard_trainer.data.clean import clean
from modelyard_trainer.data.dedupe import dedupe
from modelyard_trainer.data.rows import SIDES, Row, Sides, digest_of_rows, same_text
from modelyard_trainer.data.split import side_of, split
from modelyard_trainer.data.steps import apply_steps, split_step
from modelyard_trainer.errors import TrainerError

STEPS = [Step(clean=Clean(min_chars=2)), Step(dedupe=Dedupe()), Step(split=Split(test=0.2, validation=0.2))]
texts = st.text(alphabet="aAbB éÉ\tﬁ", min_size=1, max_size=6)
row_lists = st.lists(st.builds(Row, texts, st.sampled_from("xy"), st.sampled_from(["", "g1", "g2", "g3"])), max_size=40)


def test_clean_normalises_and_counts() -> None:
    removed = Counter[str]()
    rows = [Row(" ﬁne ", " a "), Row("x", "a"), Row("\u200a", "a"), Row("long", " ")]
    assert list(clean(rows, Clean(min_chars=3), removed)) == [Row("fine", "a")]
    assert removed == {"short": 1, "empty": 2}


@pytest.mark.parametrize(("form", "expected"), [("nfkc", "fi é"), ("nfc", "ﬁ é"), ("none", "ﬁ e\u0301")])
def test_clean_forms(form: str, expected: str) -> None:
    step = Clean.model_validate({"normalize": form})
    assert next(clean([Row("ﬁ e\u0301", "a")], step, Counter())).text == expected


def test_dedupe_keeps_one_and_drops_contradictions() -> None:
    removed = Counter[str]()
    rows = [
        Row("Hello  there", "a"),
        Row("hello there", "a"),
        Row("x", "a"),
        Row("X", "b"),
        Row("x", "a"),
        Row("y", "b"),
    ]
    assert dedupe(rows, removed) == [Row("Hello  there", "a"), Row("y", "b")]
    assert removed == {"duplicate": 1, "conflicting": 3}


@given(row_lists, st.randoms(use_true_random=False))
def test_order_of_the_source_does_not_matter(rows: list[Row], chance: random.Random) -> None:
    mixed = list(rows)
    chance.shuffle(mixed)
    one, other = Counter[str](), Counter[str]()
    first, second = apply_steps(rows, STEPS, one), apply_steps(mixed, STEPS, other)
    assert first == second
    assert one == other
    assert digest_of_rows(first) == digest_of_rows(second)


@given(row_lists, st.booleans(), st.booleans())
def test_no_text_is_on_two_sides(rows: list[Row], grouped: bool, deduped: bool) -> None:
    step = Split(test=0.3, validation=0.3, group_by="author" if grouped else None)
    sides = apply_steps(rows, [*([STEPS[1]] if deduped else []), Step(split=step)], removed := Counter[str]())
    found = [{same_text(row.text) for row in sides[side]} for side in SIDES]
    assert not found[0] & found[1] | found[0] & found[2] | found[1] & found[2]
    assert sum(map(len, sides.values())) + removed.total() == len(rows)
    if grouped:
        groups = [{row.group for row in sides[side]} - {""} for side in SIDES]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


def test_a_row_never_changes_side() -> None:
    rows = [Row(f"text {number}", "a") for number in range(2000)]
    step = Split(test=0.1, validation=0.2)
    before = {row: side_of(row, step) for row in rows}
    assert before == {row: side_of(row, step) for row in reversed(rows)}
    shares = Counter(before.values())
    assert abs(shares["test"] / 2000 - 0.1) < 0.03
    assert abs(shares["validation"] / 2000 - 0.2) < 0.03
    assert before != {row: side_of(row, Split(test=0.1, validation=0.2, seed=8)) for row in rows}


def test_leaks_of_groups_stay_on_the_judging_side() -> None:
    step = Split(test=0.4, validation=0.1, group_by="author")
    groups = [f"g{number}" for number in range(200)]
    rows = [Row("same words", "a", group) for group in groups]
    sides = split(rows, step, removed := Counter[str]())
    assert not sides["train"]
    assert not sides["validation"]
    assert removed["leaked"] == 200 - len(sides["test"])


@pytest.mark.parametrize("steps", [[], [STEPS[2], STEPS[1]], [STEPS[2], STEPS[2]]])
def test_exactly_one_split_at_the_end(steps: list[Step]) -> None:
    with pytest.raises(TrainerError, match=r"spec\.prepare"):
        split_step(steps)


def sides_of(train: str, validation: str, test: str) -> Sides:
    letters = {"train": train, "validation": validation, "test": test}
    return {side: [Row(f"{side}{n}", c) for n, c in enumerate(word)] for side, word in letters.items()}


@pytest.mark.parametrize(
    ("sides", "parts"),
    [
        (sides_of("", "", ""), ["no rows are left", "3 short", "spec.source"]),
        (sides_of("aa", "a", "a"), ["all 4 rows have the class 'a'", "spec.source.columns.label ('stars')"]),
        (sides_of("aabb", "a", "ab"), ["class 'b' has no rows on the validation side", "train 2", "split.validation"]),
        (sides_of("aabb", "ab", "a"), ["class 'b' has no rows on the test side", "seed"]),
        (sides_of("a", "ab", "ab"), ["class 'b' has no rows on the train side", "lower"]),
        (
            {"train": [Row(str(n), str(n)) for n in range(1001)], "validation": [], "test": []},
            ["1001 different values"],
        ),
    ],
)
def test_useless_rows_are_named(sides: Sides, parts: list[str]) -> None:
    with pytest.raises(TrainerError) as fault:
        check_rows(sides, Counter(short=3), "stars", "s3://data/rows")
    for part in parts:
        assert part in fault.value.message


def test_good_rows_are_counted() -> None:
    assert check_rows(sides_of("aab", "ab", "ab"), Counter(), "stars", "s3://data/rows") == {"a": 4, "b": 3}
