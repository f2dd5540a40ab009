"""Every object that an end-to-end test looks at keeps the rules; one of each state can be kept for the unit tests.

MODELYARD_CAPTURE=tests/unit/gitops/objects python -m pytest tests/e2e    writes what is not there yet.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from examples.demo.follow import is_current
from modelyard.names import API_VERSION
from tests import argocd, failure_modes

Manifest = dict[str, Any]


def seen(obj: Manifest | None) -> Manifest | None:
    """The object, once it was checked."""
    if obj is not None and obj["apiVersion"] == API_VERSION and obj.get("status", {}).get("conditions"):
        if is_current(obj):
            failure_modes.check(obj)
        if folder := os.environ.get("MODELYARD_CAPTURE"):
            _keep(Path(folder), obj)
    return obj


def _keep(folder: Path, obj: Manifest) -> None:
    """One file per kind, phase, reason and health."""
    ready = next(c for c in obj["status"]["conditions"] if c["type"] == "Ready")
    words = [obj["kind"], obj["status"].get("phase", ""), ready["reason"], argocd.health(obj)[0]]
    path = folder / ("-".join(word.lower() for word in words if word) + ".json")
    if not path.exists():
        metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**obj, "metadata": metadata}, indent=1, sort_keys=True) + "\n")
