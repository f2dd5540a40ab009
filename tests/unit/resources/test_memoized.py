from __future__ import annotations

from modelyard.api.common import Resources
from modelyard.resources.memoized import KEPT, memoized


def test_the_same_object_is_worked_out_once_and_an_equal_one_anew() -> None:
    seen: list[tuple[int, ...]] = []

    @memoized
    def total(numbers: list[int], more: int) -> int:
        seen.append((*numbers, more))
        return sum(numbers) + more

    numbers = [1, 2]
    assert [total(numbers, 3), total(numbers, 3), total(numbers, 4), total([1, 2], 3)] == [6, 6, 7, 6]
    assert seen == [(1, 2, 3), (1, 2, 4), (1, 2, 3)]


def test_an_object_that_took_the_place_of_another_in_memory_is_another_one() -> None:
    @memoized
    def first(numbers: list[int]) -> int:
        return numbers[0]

    assert [first([number]) for number in range(2 * KEPT)] == list(range(2 * KEPT))


def test_models_among_the_other_arguments_count_by_identity() -> None:
    seen: list[str] = []

    @memoized
    def joined(word: str, resources: Resources) -> str:
        seen.append(word)
        return f"{word} {resources.memory}"

    small, same = Resources(memory="1Gi"), Resources(memory="1Gi")
    assert [joined("a", small), joined("a", small), joined("a", same)] == ["a 1Gi"] * 3
    assert seen == ["a", "a"]
