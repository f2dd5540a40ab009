from __future__ import annotations

from modelyard.resources.remembered import KEPT, remembered


def test_the_same_object_is_worked_out_once_and_an_equal_one_anew() -> None:
    seen: list[tuple[int, ...]] = []

    @remembered
    def total(numbers: list[int], more: int) -> int:
        seen.append((*numbers, more))
        return sum(numbers) + more

    numbers = [1, 2]
    assert [total(numbers, 3), total(numbers, 3), total(numbers, 4), total([1, 2], 3)] == [6, 6, 7, 6]
    assert seen == [(1, 2, 3), (1, 2, 4), (1, 2, 3)]


def test_an_object_that_took_the_place_of_another_in_memory_is_another_one() -> None:
    @remembered
    def first(numbers: list[int]) -> int:
        return numbers[0]

    assert [first([number]) for number in range(2 * KEPT)] == list(range(2 * KEPT))
