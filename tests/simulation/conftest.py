"""`--seed 123` lives that one life again and tells its story at length."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="live only the life of this seed")


@pytest.fixture
def only_seed(request: pytest.FixtureRequest) -> int | None:
    given = request.config.getoption("--seed", None)
    from_env = os.environ.get("SIM_SEED")
    return given if given is not None else int(from_env) if from_env else None
