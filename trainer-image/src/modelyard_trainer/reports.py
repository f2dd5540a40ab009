"""The RunReport: built from what the stages left."""

from __future__ import annotations

import platform
from importlib import metadata

from modelyard.api.run import Outcome, RunReport
from modelyard_trainer.run import Run

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "onnx", "onnxruntime", "scikit-learn")


def report_of(run: Run, outcome: Outcome) -> RunReport:
    """The full report of a run as far as it came."""
    return RunReport(
        run=run.name,
        outcome=outcome,
        stages={name: round(seconds, 2) for name, seconds in run.seconds.items()},
        metrics=run.metrics,
        baselines=run.baselines,
        train=run.figures,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found
