"""Preparation: order of the source never matters, no text is in two splits, removed rows are counted."""

from __future__ import annotations

import random
import tempfile
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.api.dataset import Clean, Dedupe, Split, Step
from modelyard_trainer.data.checks import MOST_CLASSES, Counts, check_number, check_rows
from modelyard_trainer.data.clean import clean
from modelyard_trainer.data.labels import one_spelling
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import SPLITS, Digest, Record, canonical, same_text
from modelyard_trainer.data.split import Places, Unit
from modelyard_trainer.data.steps import Steps, split_step
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.tasks import rows_of

KIND = rows_of("text-classification")
STEPS = [Step(clean=Clean(min_chars=2)), Step(dedupe=Dedupe()), Step(split=Split(test=0.2, validation=0.2))]
DEDUPE = [Step(dedupe=Dedupe()), Step(split=Split())]
Prepared = dict[str, list[dict[str, Any]]]


def row(text: str, label: str, group: str = "") -> Record:
    return Record({"text": text, "label": label}, group)


texts = st.text(alphabet="aAbB éÉ\tﬁ", min_size=1, max_size=6)
row_lists = st.lists(st.builds(row, texts, st.sampled_from("xy"), st.sampled_from(["", "g1", "g2", "g3"])), max_size=40)


def prepared(
    rows: Iterable[Record], steps: list[Step], removed: Counter[str], notes: Notes | None = None, memory: int = 0
) -> Prepared:
    """Rows of each split."""
    found: Prepared = {split: [] for split in SPLITS}
    with tempfile.TemporaryDirectory() as scratch:
        notes = notes or Notes("label")
        for split, fields in Steps(KIND, steps, removed, notes, Path(scratch), memory).apply(iter(rows)):
            found[split].append(fields)
    return found


def split_rows(rows: list[Record], step: Split) -> Prepared:
    return prepared(rows, [Step(split=step)], Counter())


def digest_of(rows: Prepared, prepare: Iterable[Clean] = ()) -> str:
    digest = Digest(prepare)
    for split, found in rows.items():
        digest.add(split, found)
    return str(digest)


def test_clean_normalises_and_counts() -> None:
    removed = Counter[str]()
    rows = [row(" ﬁne ", " a "), row("x", "a"), row("\u200a", "a"), row("long", " ")]
    assert list(clean(rows, KIND, Clean(min_chars=3), removed)) == [row("fine", "a")]
    assert removed == {"short": 1, "empty": 2}


@pytest.mark.parametrize(("form", "expected"), [("nfkc", "fi é"), ("nfc", "ﬁ é"), ("none", "ﬁ e\u0301")])
def test_clean_forms(form: str, expected: str) -> None:
    step = Clean.model_validate({"normalize": form})
    assert next(clean([row("ﬁ e\u0301", "a")], KIND, step, Counter())).row["text"] == expected


def test_dedupe_keeps_one_and_drops_contradictions() -> None:
    removed = Counter[str]()
    rows = [
        row("Hello  there", "a"), row("hello there", "a"), row("x", "a"), row("X", "b"), row("x", "a"), row("y", "b"),
    ]  # fmt: skip
    found = prepared(rows, DEDUPE, removed)
    assert sorted(fields["text"] for split in found.values() for fields in split) == ["Hello  there", "y"]
    assert removed == {"duplicate": 1, "conflicting": 3}


def test_one_text_of_many_rows_is_one_row() -> None:
    """However many rows a text has, they are never all in memory."""
    removed = Counter[str]()
    rows = (
        row(f"{'N/A' if number % 2 else number}", "ab"[number % 3 == 0 and number % 2 == 0]) for number in range(3000)
    )
    found = prepared(rows, DEDUPE, removed, memory=1000)
    assert sum(map(len, found.values())) == 1501
    assert removed == {"duplicate": 1499, "conflicting": 0}


@pytest.mark.parametrize("grouped", [False, True])
def test_one_text_of_many_different_rows_is_never_all_in_memory(grouped: bool) -> None:
    """As one sentence with many translations is; without a dedupe step all of them stay."""
    count, memory, translations = 5_000, 1 << 18, rows_of("translation")
    steps = [Step(split=Split(group_by="author" if grouped else None))]

    def records() -> Iterator[Record]:
        for number in range(count):
            unlike = random.Random(number).randrange(1 << 60)
            yield Record({"source": "Hello", "target": f"{unlike:030x} {'hello ' * 20}"}, str(number % 7))

    with tempfile.TemporaryDirectory() as folder:
        removed = Counter[str]()
        found = Steps(translations, steps, removed, Notes("target"), Path(folder), memory).apply(records())
        tracemalloc.start()
        targets = [fields["target"][:30] for _, fields in found]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert not [path for path in Path(folder).rglob("*") if path.is_file()]
    assert targets == sorted(targets)
    assert len(set(targets)) == len(targets) == count - removed["leaked"]
    assert bool(removed["leaked"]) == grouped
    assert peak - count * 100 < 8 * memory, "all of them take 7 MB"


@settings(deadline=None)
@given(row_lists, st.randoms(use_true_random=False), st.booleans(), st.sampled_from([STEPS, STEPS[::2], DEDUPE]))
def test_neither_the_order_of_the_source_nor_memory_matters(
    rows: list[Record], chance: random.Random, grouped: bool, steps: list[Step]
) -> None:
    split = steps[-1].split.model_copy(update={"group_by": "author" if grouped else None})  # type: ignore[union-attr]
    steps, mixed = [*steps[:-1], Step(split=split)], list(rows)
    chance.shuffle(mixed)
    one, other = Counter[str](), Counter[str]()
    first, second = prepared(rows, steps, one), prepared(mixed, steps, other, memory=100)
    assert first == second
    assert one == other
    assert digest_of(first) == digest_of(second)


def test_steps_after_one_another_see_what_the_ones_before_left() -> None:
    """A text that only the later clean step makes equal is seen as equal by the dedupe after it."""
    steps = [
        Step(dedupe=Dedupe()), Step(clean=Clean(min_chars=3)), Step(dedupe=Dedupe()), Step(clean=Clean(min_chars=4)),
        Step(split=Split()),
    ]  # fmt: skip
    removed = Counter[str]()
    rows = [row("good 1", "1"), row("good  1", "1.0"), row("no", "2"), row("bad", "2"), row("very bad", "2")]
    found = prepared(rows, steps, removed)
    assert sorted((fields["text"], fields["label"]) for split in found.values() for fields in split) == [
        ("good  1", "1"), ("very bad", "2"),
    ]  # fmt: skip
    assert removed == {"duplicate": 1, "conflicting": 0, "short": 2}


def test_the_digest_is_of_content_and_stays() -> None:
    """Published datasets are found by it: whoever changes these two says so in the changelog."""
    rows = [row(f"text {number}", "ab"[number % 2]) for number in range(20)]
    found = prepared(rows, STEPS, Counter())
    assert digest_of(found, [Clean()]) == DIGEST
    assert (
        canonical({"text": "é", "image": b"\x89PNG", "tags": ["B", "O"], "x": 0.1})
        == (
            '{"image":{"sha256":"0f4636c78f65d3639ece5a064b5ae753e3408614a14fb18ab4d7540d2c248543"},'
            '"tags":["B","O"],"text":"é","x":0.1}'
        ).encode()
    )


DIGEST = "sha256:d3a6b41a94096c8bbc38d6096d64fa6e11672ee63df1f42760e54b2a257be579"


def test_rows_that_requests_are_prepared_for_in_another_way_are_other_rows() -> None:
    """The same rows may come out of either; the model that answers requests is not the same."""
    rows: Prepared = {"train": [{"text": "a", "label": "x"}]}
    ways = [[], [Clean()], [Clean(normalize="none")], [Clean(), Clean(normalize="none")]]
    assert len({digest_of(rows, way) for way in ways}) == len(ways)


@settings(deadline=None)
@given(row_lists, st.booleans(), st.booleans())
def test_no_text_is_in_two_splits(rows: list[Record], grouped: bool, deduped: bool) -> None:
    step = Split(test=0.3, validation=0.3, group_by="author" if grouped else None)
    marked = [Record({**record.row, "group": record.group}, record.group) for record in rows]
    removed = Counter[str]()
    prepare = [*([STEPS[1]] if deduped else []), Step(split=step)]
    found = prepared(marked, prepare, removed)
    asked = [{same_text(fields["text"]) for fields in found[split]} for split in SPLITS]
    assert not asked[0] & asked[1] | asked[0] & asked[2] | asked[1] & asked[2]
    assert sum(map(len, found.values())) + removed.total() == len(rows)
    if grouped:
        groups = [{fields["group"] for fields in found[split]} - {""} for split in SPLITS]
        assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


def places_of(rows: list[Record], step: Split) -> dict[str, str]:
    return {fields["text"]: split for split, found in split_rows(rows, step).items() for fields in found}


def test_a_row_stays_where_it_is_when_others_come_and_go() -> None:
    rows = [row(f"text {number}", "ab"[number % 2]) for number in range(2000)]
    step = Split(test=0.1, validation=0.2)
    before = places_of(rows, step)
    assert before == places_of(rows[::-1], step)
    shares = Counter(before.values())
    assert abs(shares["test"] / 2000 - 0.1) < 0.03
    assert abs(shares["validation"] / 2000 - 0.2) < 0.03
    assert before != places_of(rows, Split(test=0.1, validation=0.2, seed=8))
    others = [row(f"new {number}", "abc"[number % 3]) for number in range(500)]
    after = places_of(rows[300:] + others, step)
    assert all(after[record.row["text"]] == before[record.row["text"]] for record in rows[300:])


@pytest.mark.parametrize(("classes", "each"), [(10, 20), (20, 30), (77, 30), (3, 3), (200, 5)])
def test_every_class_is_everywhere_at_every_seed(classes: int, each: int) -> None:
    rows = [row(f"text {label} {number}", f"c{label}") for label in range(classes) for number in range(each)]
    for seed in range(20):
        found = split_rows(rows, Split(seed=seed))
        for split in SPLITS:
            counts = Counter(fields["label"] for fields in found[split])
            assert len(counts) == classes, (seed, split)
        assert len(found["train"]) > 0.55 * len(rows) or each < 5


def all_in_memory(units: list[Unit], step: Split) -> dict[bytes, str]:
    """The rule of Places in its plainest form, with all units at hand."""
    units = sorted(units, key=lambda unit: unit[:2])
    placed = {u.key: "test" if u.share < step.test else "train" for u in units}
    placed |= {u.key: "validation" for u in units if step.test <= u.share < step.test + step.validation}
    classes: dict[str, list[bytes]] = defaultdict(list)
    for unit in units:
        for label in unit.labels:
            classes[label].append(unit.key)
    labels = {unit.key: unit.labels for unit in units}
    by_size = sorted(classes, key=lambda label: (len(classes[label]), label))
    for number, label in enumerate(by_size):
        keys, smaller = classes[label], by_size[:number]
        least = {"train": 1, "test": int(len(keys) > 1), "validation": int(len(keys) > 2)}
        for to, share in (("train", 0.0), ("test", step.test), ("validation", step.validation)):
            for split in SPLITS:
                there = [key for key in keys if placed[key] == split != to]
                lacking = max(0, max(least[to], int(share * len(keys) / 2)) - sum(placed[key] == to for key in keys))
                left = min(lacking, len(there) - (to != "train"))
                for key in there:
                    alone = [
                        other
                        for other in labels[key].intersection(smaller)
                        if split == "train" and sum(placed[one] == "train" for one in classes[other]) == 1
                    ]
                    if left > 0 and not alone:
                        placed[key], left = to, left - 1
    return placed


@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.frozensets(st.sampled_from("abcde"), min_size=1)), max_size=60
    ),
    st.sampled_from([(0.1, 0.1), (0.4, 0.1), (0.01, 0.4)]),
)
def test_small_classes_get_what_they_lack(
    drawn: list[tuple[float, frozenset[str]]], shares: tuple[float, float]
) -> None:
    step = Split(test=shares[0], validation=shares[1])
    units = [Unit(share, b"%d" % number, labels) for number, (share, labels) in enumerate(drawn)]
    places = Places(lambda: units, step)
    places.fill()
    placed = {unit.key: places.of(unit.key, unit.share) for unit in units}
    assert placed == all_in_memory(units, step)
    learnt = {label for unit in units if placed[unit.key] == "train" for label in unit.labels}
    assert learnt == {label for unit in units for label in unit.labels}


def test_units_of_large_classes_are_looked_at_once_and_held_never() -> None:
    chance, passes = random.Random(1), 0

    def units() -> Iterable[Unit]:
        nonlocal passes
        passes += 1
        return (Unit(share, b"%d" % n, frozenset("ab"[n % 2])) for n, share in enumerate(shares))

    shares = [chance.random() for _ in range(5000)]
    places = Places(units, Split())
    places.fill()
    assert passes == 1 and places.counts["a"].total() == 2500


@pytest.mark.parametrize(
    ("each", "expected", "told"),
    [
        (1, {"train": 1}, "none for validation and test: it is learnt, but no test row judges it"),
        (2, {"train": 1, "test": 1}, "none for validation: it is learnt and judged all the same"),
        (3, {"train": 1, "validation": 1, "test": 1}, ""),
    ],
)
def test_a_class_that_is_too_small_is_named(each: int, expected: dict[str, int], told: str) -> None:
    rows = [row(f"text {number}", "ab"[number % 2]) for number in range(200)]
    rows += [row(f"rare {number}", "rare") for number in range(each)]
    notes = Notes("stars")
    found = split_rows(rows, Split())
    counts = {split: n for split in SPLITS if (n := sum(fields["label"] == "rare" for fields in found[split]))}
    assert counts == expected
    check_rows(counts_of(found), Counter(), notes, "s3://data/rows")
    assert [told in note and "class 'rare'" in note for note in notes.found] == ([True] if told else [])


def spelt(*labels: str) -> tuple[list[str], list[str]]:
    """Classes after spelling, and notes."""
    notes = Notes("stars")
    names = one_spelling(Counter(labels), notes)
    return [names.get(label, label) for label in labels], notes.found


def test_numbers_and_truth_are_written_in_one_way() -> None:
    assert spelt("1", "1.0", "2", "2.5", "01") == (
        ["1", "1", "2", "2.5", "1"], ["'01' (1 rows), '1' (1 rows), '1.0' (1 rows) are one class: '1'"],
    )  # fmt: skip
    assert spelt("true", "True", "False")[0] == ["true", "true", "False"]
    assert spelt("1.0", "2.0") == (["1.0", "2.0"], [])


@pytest.mark.parametrize("steps", [DEDUPE, DEDUPE[1:]])
def test_classes_are_spelt_in_one_way_whatever_the_steps(steps: list[Step]) -> None:
    rows = [row("a", "1"), row("a", "1.0"), row("b", "1.0"), row("c", "2")]
    found = prepared(rows, steps, removed := Counter[str]())
    assert {fields["label"] for split in found.values() for fields in split} == {"1", "2"}
    assert removed["conflicting"] == 0


@pytest.mark.parametrize("labels", [("Spam", "spam"), ("a b", "a  b"), ("caf\u00e9", "CAF\u00c9"), ("\uff41", "a")])
def test_classes_that_look_alike_are_shown(labels: tuple[str, str]) -> None:
    with pytest.raises(TrainerError) as fault:
        spelt(*labels)
    assert repr(labels[0]) in fault.value.message and repr(labels[1]) in fault.value.message
    assert "spec.source.columns.label ('stars')" in fault.value.message


def test_leaks_of_groups_stay_in_the_split_that_judges() -> None:
    step = Split(test=0.4, validation=0.1, group_by="author")
    rows = [row("same words", "a", f"g{number}") for number in range(200)]
    found = prepared(rows, [Step(split=step)], removed := Counter[str]())
    assert not found["train"]
    assert not found["validation"]
    assert removed["leaked"] == 200 - len(found["test"])


@pytest.mark.parametrize("steps", [[], [STEPS[2], STEPS[1]], [STEPS[2], STEPS[2]]])
def test_exactly_one_split_at_the_end(steps: list[Step]) -> None:
    with pytest.raises(TrainerError, match=r"spec\.prepare"):
        split_step(steps)


def counts_of(rows: Prepared) -> Counts:
    counts = Counts()
    for split, found in rows.items():
        for fields in found:
            counts.add(split, KIND.classes(fields))
    return counts


def counted(train: str, validation: str, test: str) -> Counts:
    """A letter for each row's class."""
    letters = {"train": train, "validation": validation, "test": test}
    return counts_of({split: [{"text": "", "label": c} for c in word] for split, word in letters.items()})


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        (counted("", "", ""), ["no rows are left", "3 short", "spec.source"]),
        (counted("aa", "a", "a"), ["all 4 rows have the class 'a'", "spec.source.columns.label ('stars')"]),
        (counted("aabb", "", "ab"), ["no validation rows", "6 rows in all"]),
        (counted("aabb", "ab", ""), ["no test rows", "spec.prepare"]),
        (counted("a", "ab", "ab"), ["class 'b' has no training rows", "2 rows in all"]),
    ],
)
def test_useless_rows_are_named(counts: Counts, parts: list[str]) -> None:
    with pytest.raises(TrainerError) as fault:
        check_rows(counts, Counter(short=3), Notes("stars"), "s3://data/rows")
    for part in parts:
        assert part in fault.value.message


def test_a_column_that_is_no_class_is_named_before_its_values_fill_the_memory() -> None:
    with pytest.raises(TrainerError, match=r"'stars'\) has 1001 different values, at most 1000"):
        prepared((row(f"{n}", f"{n}") for n in range(MOST_CLASSES + 1)), DEDUPE, Counter(), Notes("stars"))
    with pytest.raises(TrainerError, match=r"has more than 5000 different values, at most 1000"):
        check_number(range(5001), Notes("stars"), most=5000)


def test_good_rows_are_counted() -> None:
    counts = counted("aab", "ab", "ab")
    check_rows(counts, Counter(), Notes("stars"), "s3://data/rows")
    assert counts.by_class() == {
        "a": {"train": 2, "validation": 1, "test": 1},
        "b": {"train": 1, "validation": 1, "test": 1},
    }


def told(rows: list[tuple[str, str]], **split: Any) -> tuple[dict[str, list[str]], Counter[str]]:
    """Texts by the split that they come into; rows are a text and what the column of the split holds."""
    removed = Counter[str]()
    records = [Record({"text": text, "label": "ab"[number % 2]}, cell) for number, (text, cell) in enumerate(rows)]
    found = prepared(records, [Step(split=Split(**split))], removed)
    return {name: sorted(fields["text"] for fields in some) for name, some in found.items()}, removed


def test_a_column_says_the_split() -> None:
    words = ["train", " Training ", "valid", "val", "DEV", "validation", "test"]
    found, _ = told([(f"{number}", word) for number, word in enumerate(words)], column="split")
    assert found == {"train": ["0", "1"], "validation": ["2", "3", "4", "5"], "test": ["6"]}
    with pytest.raises(TrainerError, match=r"spec.prepare\[0\].split.column \('split'\): 'holdout' is no split"):
        told([("a", "train"), ("b", "holdout")], column="split")


def test_a_text_in_two_told_splits_judges_and_is_not_learned() -> None:
    found, removed = told([("a", "train"), ("A ", "test"), ("b", "train"), ("c", "validation")], column="split")
    assert found == {"train": ["b"], "validation": ["c"], "test": ["A "]}
    assert removed["leaked"] == 1


@pytest.mark.parametrize("form", ["{}", "2026-01-{:02}", "2026-01-{:02}T10:00:00Z", "1.{:02}e9"])
def test_the_newest_rows_judge(form: str) -> None:
    days = list(range(10, 30))
    random.Random(2).shuffle(days)
    found, _ = told([(f"{day}", form.format(day)) for day in days], time="date", test=0.2, validation=0.1)
    ordered = [str(day) for day in range(10, 30)]
    assert found == {"train": ordered[:14], "validation": ordered[14:16], "test": ordered[16:]}


def test_rows_of_one_time_stay_together() -> None:
    times = [*"11112222", "3", "4", "4", "4"]
    found, _ = told([(f"{number}", time) for number, time in enumerate(times)], time="date")
    assert found == {"train": list("01234567"), "validation": ["8"], "test": ["10", "11", "9"]}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1", "2", "yesterday"], "'yesterday' is no time: write ISO dates"),
        (["1", "2", ""], "'' is no time"),
        (["1", "2", "nan"], "'nan' is no time"),
        (["1", "1", "2"], "3 rows have 2 different times, too few"),
        (["5"], "1 rows have 1 different times"),
    ],
)
def test_times_that_split_nothing(cells: list[str], said: str) -> None:
    with pytest.raises(TrainerError, match=said) as fault:
        told([(f"{number}", cell) for number, cell in enumerate(cells)], time="date")
    assert "spec.prepare[0].split.time ('date')" in str(fault.value)
