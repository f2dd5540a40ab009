"""What admission refuses, by the table of tasks: starts, methods, formats, inputs and columns that no task has so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modelyard.api.common import Rule
from modelyard.api.tasks import ARCHITECTURES, BASE, COLUMNS, FORMATS, INLINE_COLUMNS, METHODS, VERSION, TaskKind

TaskTable = dict[str, TaskKind]
SIZE_OF_VERSION = Rule(
    "!has(self.from.version) || !has(self.input) || !has(self.input.image) || !has(self.input.image.size)",
    "input.image.size: a model that goes on from a version reads pictures in that version's size: leave it out",
)


def job_rules(tasks: TaskTable, inputs: Iterable[str]) -> list[Rule]:
    """Rules for the spec of a FineTuneJob; `inputs` are the blocks of spec.input."""
    supported = (rule for task in tasks.values() for rule in (_starts(task), *_goes_with(task)))
    return [*supported, *(_input(block, tasks) for block in inputs), SIZE_OF_VERSION]


def dataset_rules(tasks: TaskTable) -> list[Rule]:
    """Rules for the spec of a Dataset."""
    inline = (_inline(task) for task in tasks.values())
    return [*(_column(name, tasks) for name in COLUMNS), *inline]


def _starts(task: TaskKind) -> Rule:
    """A job starts from what its task can start from; of a start that comes later nothing is said here."""
    known = [one.start for one in task.support]
    own = [_begun(start) for start in known if start in ARCHITECTURES]
    others = [f"!{_begun(start)}" for start in (BASE, VERSION) if start not in known]
    scratch = " || ".join(["!has(self.from.scratch)", *own])
    told = ", ".join(f"scratch.{start}" if start in ARCHITECTURES else start for start in known)
    rule = " && ".join([*others, f"({scratch})"])
    return _of(task, rule, f"from: a model for {task.name} starts from {told}")


def _goes_with(task: TaskKind) -> Iterator[Rule]:
    if task.foreign:
        yield _of(task, "!has(self.method)", f"method: a model for {task.name} takes none: its trainer decides")
        every = f"!has(self.export) || self.export.size() == {len(FORMATS)}"
        yield _of(
            task, every, f"export: a model for {task.name} has the formats that its trainer reports: leave it out"
        )
        return
    for one in task.support:
        start = f"scratch.{one.start}" if one.start in ARCHITECTURES else f"a {one.start}"
        wrong = [f"!has(self.method.{method})" for method in METHODS if method not in one.methods]
        if wrong:
            told = f"method: {task.name} from {start} is trained by {', '.join(one.methods)}"
            yield _starting(task, one.start, f"!has(self.method) || ({' && '.join(wrong)})", told)
        if set(one.formats) != set(FORMATS):
            told = f"export: {task.name} from {start} is written as {', '.join(one.formats)}"
            rule = f"!has(self.export) || self.export.all(f, f in {list(one.formats)})"
            yield _starting(task, one.start, rule, told)


def _starting(task: TaskKind, start: str, rule: str, told: str) -> Rule:
    """A rule for jobs of the task that start so; versions came later, so it begins with what older jobs never have."""
    if start == VERSION:
        return Rule(f"!has(self.from.version) || self.task != '{task.name}' || {rule}", told)
    return _of(task, f"!({_begun(start)}) || {rule}", told)


def _begun(start: str) -> str:
    """Whether a job starts so."""
    if start in ARCHITECTURES:
        return f"(has(self.from.scratch) && has(self.from.scratch.{start}))"
    return f"has(self.from.{start})"


def _input(block: str, tasks: TaskTable) -> Rule:
    """A block of spec.input is for tasks that read such rows."""
    names = [task.name for task in tasks.values() if task.reads == block]
    told = f"input.{block}: only tasks whose rows hold {block}s take it ({', '.join(names)})"
    return Rule(f"!has(self.input) || !has(self.input.{block}) || self.task in {names}", told)


def _column(name: str, tasks: TaskTable) -> Rule:
    """A column is named for tasks that have it."""
    having = [task.name for task in tasks.values() if name in _names(task)]
    own = "; ".join(f"{task.name} has {', '.join(_names(task)) or 'those of the source'}" for task in tasks.values())
    rule = f"!has(self.source.columns) || !has(self.source.columns.{name}) || self.task in {having}"
    return Rule(rule, f"source.columns.{name}: the rows of this task have no such column: {own}")


def _inline(task: TaskKind) -> Rule:
    """Rows in the object have the columns of its task, each of them and no other."""
    written = [column.name for column in task.columns if column.inline]
    if task.foreign or len(written) < len(task.columns):
        return _of(task, "!has(self.source.inline)", f"source: rows of {task.name} cannot be written inline: use s3")
    wanted = [f"has(r.{column.name})" for column in task.columns if column.needed]
    others = [f"!has(r.{name})" for name in INLINE_COLUMNS if name not in written]
    rule = f"!has(self.source.inline) || self.source.inline.all(r, {' && '.join(wanted + others)})"
    return _of(task, rule, f"source.inline: each row of {task.name} has {' and '.join(written)}, and nothing else")


def _names(task: TaskKind) -> list[str]:
    return [column.name for column in task.columns]


def _of(task: TaskKind, rule: str, told: str) -> Rule:
    return Rule(f"self.task != '{task.name}' || {rule}", told)
