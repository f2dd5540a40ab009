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
from modelyard_trainer.data.labels import one_spelling
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import SIDES, Row, Sides, digest_of_rows, same_text
from modelyard_trainer.data.split import split
from modelyard_trainer.data.steps import apply_steps, split_step
from modelyard_trainer.errors import TrainerError

STEPS = [Step(clean=Clean(min_chars=2)), Step(dedupe=Dedupe()), Step(split=Split(test=0.2, validation=0.2))]
texts = st.text(alphabet="aAbB éÉ\tﬁ", min_size=1, max_size=6)
NOTES = Notes("label")
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
    first, second = apply_steps(rows, STEPS, one, NOTES), apply_steps(mixed, STEPS, other, NOTES)
    assert first == second
    assert one == other
    assert digest_of_rows(first, []) == digest_of_rows(second, [])


def test_rows_that_requests_are_prepared_for_in_another_way_are_other_rows() -> None:
    """The same rows may come out of either; the model that answers requests is not the same."""
    sides = {"train": [Row("a", "x")], "validation": [], "test": []}
    ways = [[], [Clean()], [Clean(normalize="none")], [Clean(), Clean(normalize="none")]]
    assert len({digest_of_rows(sides, way) for way in ways}) == len(ways)


@given(row_lists, st.booleans(), st.booleans())
def test_no_text_is_on_two_sides(rows: list[Row], grouped: bool, deduped: bool) -> None:
    step = Split(test=0.3, validation=0.3, group_by="author" if grouped else None)
    sides = apply_steps(rows, [*([STEPS[1]] if deduped else []), Step(split=step)], removed := Counter[str](), NOTES)
    found = [{same_text(row.text) for row in sides[side]} for side in SIDES]
    assert not found[0] & found[1] | found[0] & found[2] | found[1] & found[2]
    assert sum(map(len, sides.values())) + removed.total() == len(rows)
    if grouped:
        groups = [{row.group for row in sides[side]} - {""} for side in SIDES]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


def sides_by_row(rows: list[Row], step: Split) -> dict[Row, str]:
    sides = split(rows, step, Counter())
    return {row: side for side in SIDES for row in sides[side]}


def test_a_row_stays_where_it_is_when_others_come_and_go() -> None:
    rows = [Row(f"text {number}", "ab"[number % 2]) for number in range(2000)]
    step = Split(test=0.1, validation=0.2)
    before = sides_by_row(rows, step)
    assert before == sides_by_row(rows[::-1], step)
    shares = Counter(before.values())
    assert abs(shares["test"] / 2000 - 0.1) < 0.03
    assert abs(shares["validation"] / 2000 - 0.2) < 0.03
    assert before != sides_by_row(rows, Split(test=0.1, validation=0.2, seed=8))
    others = [Row(f"new {number}", "abc"[number % 3]) for number in range(500)]
    after = sides_by_row(rows[300:] + others, step)
    assert all(after[row] == before[row] for row in rows[300:])


@pytest.mark.parametrize(("classes", "each"), [(10, 20), (20, 30), (77, 30), (3, 3), (200, 5)])
def test_every_class_is_everywhere_at_every_seed(classes: int, each: int) -> None:
    rows = [Row(f"text {label} {number}", f"c{label}") for label in range(classes) for number in range(each)]
    for seed in range(20):
        sides = split(rows, Split(seed=seed), Counter())
        for side in SIDES:
            counts = Counter(row.label for row in sides[side])
            assert len(counts) == classes, (seed, side)
        assert len(sides["train"]) > 0.55 * len(rows) or each < 5


@pytest.mark.parametrize(
    ("each", "expected", "told"),
    [
        (1, {"train": 1}, "none for validation and test: it is learnt, but no test row judges it"),
        (2, {"train": 1, "test": 1}, "none for validation: it is learnt and judged all the same"),
        (3, {"train": 1, "validation": 1, "test": 1}, ""),
    ],
)
def test_a_class_that_is_too_small_is_named(each: int, expected: dict[str, int], told: str) -> None:
    rows = [Row(f"text {number}", "ab"[number % 2]) for number in range(200)]
    rows += [Row(f"rare {number}", "rare") for number in range(each)]
    notes = Notes("stars")
    sides = split(rows, Split(), Counter())
    assert {side: n for side in SIDES if (n := sum(row.label == "rare" for row in sides[side]))} == expected
    check_rows(sides, Counter(), notes, "s3://data/rows")
    assert [told in note and "class 'rare'" in note for note in notes.found] == ([True] if told else [])


def spelt(*labels: str) -> tuple[list[str], list[str]]:
    """Classes after spelling, and notes."""
    notes = Notes("stars")
    rows = one_spelling([Row(f"text {number}", label) for number, label in enumerate(labels)], notes)
    return [row.label for row in rows], notes.found


def test_numbers_and_truth_are_written_in_one_way() -> None:
    assert spelt("1", "1.0", "2", "2.5", "01") == (
        ["1", "1", "2", "2.5", "1"], ["'01' (1 rows), '1' (1 rows), '1.0' (1 rows) are one class: '1'"],
    )  # fmt: skip
    assert spelt("true", "True", "False")[0] == ["true", "true", "False"]
    assert spelt("1.0", "2.0") == (["1.0", "2.0"], [])


@pytest.mark.parametrize("labels", [("Spam", "spam"), ("a b", "a  b"), ("caf\u00e9", "CAF\u00c9"), ("\uff41", "a")])
def test_classes_that_look_alike_are_shown(labels: tuple[str, str]) -> None:
    with pytest.raises(TrainerError) as fault:
        spelt(*labels)
    assert repr(labels[0]) in fault.value.message and repr(labels[1]) in fault.value.message
    assert "spec.source.columns.label ('stars')" in fault.value.message


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
        (sides_of("aabb", "", "ab"), ["no validation rows", "6 rows in all"]),
        (sides_of("aabb", "ab", ""), ["no test rows", "spec.prepare"]),
        (sides_of("a", "ab", "ab"), ["class 'b' has no training rows", "2 rows in all"]),
        (
            {"train": [Row(str(n), str(n)) for n in range(1001)], "validation": [], "test": []},
            ["1001 different values"],
        ),
    ],
)
def test_useless_rows_are_named(sides: Sides, parts: list[str]) -> None:
    with pytest.raises(TrainerError) as fault:
        check_rows(sides, Counter(short=3), Notes("stars"), "s3://data/rows")
    for part in parts:
        assert part in fault.value.message


def test_good_rows_are_counted() -> None:
    assert check_rows(sides_of("aab", "ab", "ab"), Counter(), Notes("stars"), "s3://data/rows") == {
        "a": {"train": 2, "validation": 1, "test": 1},
        "b": {"train": 1, "validation": 1, "test": 1},
    }
