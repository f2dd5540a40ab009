"""A version's page: one HTML file beside the report, for people; it loads nothing and runs no script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelyard_trainer.page import charts, facts

if TYPE_CHECKING:
    from modelyard_trainer.run import TrainRun

FOLDER = Path(__file__).parent


def page_of(run: TrainRun) -> str:
    """The page of a run that was evaluated."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters |= {"number": charts.number}
    made.globals |= {"curve": charts.curve, "columns_chart": charts.columns, "reliability": charts.reliability}
    text: str = made.get_template("page.html").render(facts.of_run(run))
    return text
