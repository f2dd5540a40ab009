"""Takes what a foreign trainer made of a task that only it knows: the files of its report, and its metrics."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

from modelyard.api import layout
from modelyard.api.run import OUTPUT_PATH, ModelInfo, Outcome, Written
from modelyard_trainer.errors import bad_output
from modelyard_trainer.foreign_report import ForeignReport, parsed
from modelyard_trainer.reports import report_of
from modelyard_trainer.run import Publication, TrainRun
from modelyard_trainer.stages.collect import NAMED, plain

log = logging.getLogger(__name__)
LARGEST_REPORT = 1 << 20


def execute(run: TrainRun) -> None:
    """Leave a folder that is ready to be published; BAD_OUTPUT names what is wrong with the report or a file."""
    source, target = Path(os.environ.get("MODELYARD_OUTPUT", OUTPUT_PATH)), run.version
    report = _report(source)
    for name in report.files:
        _take(source, target, name)
    _note_others(run, source, report.files)
    run.metrics = [report.measured]
    told = report_of(run, Outcome(outcome="published"))
    (target / layout.REPORT).write_text(json.dumps(told.dump(), indent=1))
    run.publication = Publication(run.target, target, "model", _info(run, report).dump())


def _report(source: Path) -> ForeignReport:
    path = source / layout.REPORT
    if not os.path.lexists(path):
        raise bad_output(f"there is no {layout.REPORT}: write one with metrics and artifacts")
    with plain(path, layout.REPORT) as stream:
        data = stream.read(LARGEST_REPORT + 1)
    if len(data) > LARGEST_REPORT:
        raise bad_output(f"{layout.REPORT} has more than {LARGEST_REPORT >> 20} MiB")
    return parsed(data)


def _take(source: Path, target: Path, name: str) -> None:
    """Copy one file; its folders may be no links either."""
    path, copy = source / name, target / name
    if not os.path.lexists(path):
        raise bad_output(f"{layout.REPORT} names {name}, which is not there: save it, or leave it out of artifacts")
    if path.parent.resolve() != source.resolve() / Path(name).parent:
        raise bad_output(f"a folder of {name} is a link: save the files themselves there")
    copy.parent.mkdir(parents=True, exist_ok=True)
    with plain(path, name) as found, copy.open("wb") as made:
        shutil.copyfileobj(found, made, 1 << 20)


def _note_others(run: TrainRun, source: Path, taken: list[str]) -> None:
    known = {layout.REPORT, *taken}
    found = (path.relative_to(source).as_posix() for path in sorted(source.rglob("*")) if not path.is_dir())
    left_out = [name for name in found if name not in known]
    if left_out:
        run.figures["left_out"] = left_out[:NAMED]
        log.info("left behind, as %s does not name them: %s", layout.REPORT, ", ".join(left_out[:NAMED]))


def _info(run: TrainRun, report: ForeignReport) -> ModelInfo:
    config = run.config
    return ModelInfo(
        task=config.task,
        run=config.run,
        model=config.model,
        labels=[],
        codec={},
        artifacts=[Written(format_=a.format_, precision=a.precision, files=a.files) for a in report.artifacts],
        metrics=run.metrics,
        dataset=config.dataset.digest,
        base=config.base.digest if config.base else None,
        image=config.image,
        sample={},
    )
