"""Follow objects until they are done, with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from examples.demo.cluster import Cluster

console = Console(highlight=False)


class FailedError(RuntimeError):
    """An object cannot go on without a human; the message is its condition's."""


def ready_condition(obj: dict[str, Any]) -> dict[str, Any]:
    """The Ready condition, empty before the operator has looked."""
    found = obj.get("status", {}).get("conditions", [])
    return next((dict(c) for c in found if c["type"] == "Ready"), {})


def is_current(obj: dict[str, Any]) -> bool:
    """True when the status is about the present spec."""
    return bool(obj.get("status", {}).get("observedGeneration", -1) >= obj["metadata"]["generation"])


def follow(
    cluster: Cluster,
    namespace: str,
    kind: str,
    name: str,
    *,
    seconds: float = 900,
    done: Callable[[dict[str, Any]], bool] | None = None,
) -> dict[str, Any]:
    """Show an object's phase, percent, loss and time left until Ready (and `done`); FailedError when it is stuck."""
    deadline = time.monotonic() + seconds
    with _bar() as bar:
        task = bar.add_task(f"{kind} {name}", total=100, detail="")
        while time.monotonic() < deadline:
            obj = cluster.get(kind, name, namespace) or {"metadata": {"generation": 1}}
            bar.update(task, completed=_percent(obj), detail=describe(obj))
            ready = ready_condition(obj)
            if is_current(obj) and ready.get("status") == "True" and (done is None or done(obj)):
                bar.update(task, completed=100)
                return obj
            if is_current(obj) and _is_stuck(obj):
                raise FailedError(f"{kind} {name}: {ready.get('reason')}: {ready.get('message')}")
            time.sleep(1)
    raise FailedError(f"{kind} {name} was not ready after {seconds:.0f} s: {ready_condition(obj).get('message')}")


def describe(obj: dict[str, Any]) -> str:
    """Phase, stage, loss and time left in a few words."""
    status = obj.get("status", {})
    progress = status.get("progress") or {}
    parts = [status.get("phase") or ready_condition(obj).get("reason") or "waiting"]
    if progress.get("stage"):
        parts.append(f"stage {progress['stage']}")
    if progress.get("loss") is not None:
        parts.append(f"loss {progress['loss']:.3f}")
    if progress.get("eta"):
        parts.append(f"{progress['eta']} left")
    return ", ".join(parts)


def _percent(obj: dict[str, Any]) -> float:
    return float((obj.get("status", {}).get("progress") or {}).get("percent", 0))


def _is_stuck(obj: dict[str, Any]) -> bool:
    return any(c["type"] == "Stalled" and c["status"] == "True" for c in obj.get("status", {}).get("conditions", []))


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:34}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
    )
