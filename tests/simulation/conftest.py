"""`--seed 123` lives that one life again and tells its story at length."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="live only the life of this seed")


def asked_seed(config: pytest.Config) -> int | None:
    """The one life that is asked for, if any."""
    given: int | None = config.getoption("--seed", None)
    from_env = os.environ.get("SIM_SEED")
    return given if given is not None else int(from_env) if from_env else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Either the one life that is asked for, or all others."""
    replay = [item for item in items if item.name == "test_the_life_that_was_asked_for"]
    lives = [item for item in items if item.name.startswith("test_whatever_goes_wrong")]
    left_out = replay if asked_seed(config) is None else lives
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def only_seed(request: pytest.FixtureRequest) -> int:
    seed = asked_seed(request.config)
    assert seed is not None
    return seed
