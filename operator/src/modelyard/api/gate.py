"""The gate of a FineTuneJob, and the rules that admission holds it to: they follow from the table of tasks."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from modelyard.api.common import NAME, ApiModel, Rule, cel
from modelyard.api.tasks import TASKS, MetricKind, TaskKind

REQUIRE = "self.evaluate.gate.require"
GateWord = Literal["passed", "failed", "unjudged"]
UNSET = f"!has(self.evaluate) || !has(self.evaluate.gate) || !has({REQUIRE})"


def _metrics_in_words() -> str:
    return "; ".join(map(_of_task, TASKS.values()))


def _of_task(task: TaskKind) -> str:
    if task.foreign:
        return f"of {task.name} those that its trainer reports"
    one_class = f", {', '.join(task.named(True))} one class" if task.named(True) else ""
    return f"of {task.name} {', '.join(task.named(False))} judge all rows{one_class}"


class Requirement(ApiModel):
    """One number that the version must reach on the test rows."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.min) != has(self.max)",
                "evaluate.gate.require: give exactly one of min (where higher is better) and max (where lower is)",
            )
        )
    )
    metric: str = Field(min_length=1, max_length=64, description=f"Metric of the task: {_metrics_in_words()}.")
    class_: str | None = Field(
        default=None, alias="class", min_length=1, max_length=256, description="The class that is judged."
    )
    min: float | None = Field(default=None, description="Least value that passes.")
    max: float | None = Field(default=None, description="Largest value that passes.")


class Gate(ApiModel):
    """What a version must reach to be `passed`; re-judged from the report when it changes, without training."""

    require: list[Requirement] = Field(
        default_factory=list, max_length=32, description="All of these must hold; none means that every version passes."
    )
    max_export_difference: float = Field(
        default=0.001, gt=0, le=10, description="Largest logit difference allowed between torch and ONNX."
    )


def gate_rules(tasks: dict[str, TaskKind]) -> list[Rule]:
    """Rules for the spec of a job, where both task and gate are seen; each message is of one metric or one task."""
    return [rule for task in tasks.values() for rule in (_known(task), *(_asked(task, m) for m in task.metrics))]


def _known(task: TaskKind) -> Rule:
    if task.foreign:
        told = f"a metric of {task.name} is a name of letters, digits, '_', '.' and '-'"
        return _rule(task, f"!r.metric.matches('{NAME}')", told)
    names = [metric.name for metric in task.metrics]
    return _rule(task, f"!(r.metric in {names})", f"the metrics of {task.name} are {', '.join(names)}")


def _asked(task: TaskKind, metric: MetricKind) -> Rule:
    """How one metric may be asked for: with a class or none, from which side, and within what it can be."""
    bound, other = ("min", "max") if metric.higher_is_better else ("max", "min")
    wrong = [f"{'!' if metric.per_class else ''}has(r.class)", f"has(r.{other})"]
    wrong += [f"(has(r.{bound}) && r.{bound} {sign} {limit!r})" for sign, limit in _limits(metric)]
    judges = "one class: name it in `class`" if metric.per_class else "all rows: leave out `class`"
    better = "higher" if metric.higher_is_better else "lower"
    told = f"{metric.name} judges {judges}, and is better when {better}: give {bound}{_range(metric)}"
    return _rule(task, f"r.metric == '{metric.name}' && ({' || '.join(wrong)})", told)


def _rule(task: TaskKind, wrong: str, told: str) -> Rule:
    return Rule(
        f"self.task != '{task.name}' || {UNSET} || !{REQUIRE}.exists(r, {wrong})", f"evaluate.gate.require: {told}"
    )


def _limits(metric: MetricKind) -> list[tuple[str, float]]:
    return [(sign, limit) for sign, limit in (("<", metric.least), (">", metric.most)) if limit is not None]


def _range(metric: MetricKind) -> str:
    if metric.least is None or metric.most is None:
        return "".join(f", {limit:g} or {'more' if sign == '<' else 'less'}" for sign, limit in _limits(metric))
    return f", {metric.least:g} to {metric.most:g}"
