"""What Argo CD needs to understand our kinds: the chart's Lua scripts as the settings of its ConfigMap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.api.kinds import KINDS
from modelyard.names import GROUP

SCRIPTS = Path("charts/modelyard/files/argocd")
CONFIG_MAP = SCRIPTS / "argocd-cm.yaml"


def config_map(root: Path) -> dict[str, Any]:
    """The ConfigMap `argocd-cm` with nothing but our settings; server-side apply adds them to what is there."""
    data = {}
    for kind in sorted(kind.kind for kind in KINDS):
        data[f"resource.customizations.health.{GROUP}_{kind}"] = (root / SCRIPTS / "health.lua").read_text()
        if (root / SCRIPTS / kind).is_dir():
            data[f"resource.customizations.actions.{GROUP}_{kind}"] = _actions(root / SCRIPTS / kind)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": data}


def _actions(folder: Path) -> str:
    """discovery.lua and every other script of a kind, as Argo CD wants them: YAML inside the ConfigMap."""
    scripts = sorted(path for path in folder.glob("*.lua") if path.name != "discovery.lua")
    lines = ["discovery.lua: |", *_indented(folder / "discovery.lua", 2), "definitions:"]
    for script in scripts:
        lines += [f"- name: {script.stem}", "  action.lua: |", *_indented(script, 4)]
    return "\n".join(lines) + "\n"


def _indented(script: Path, columns: int) -> list[str]:
    return [" " * columns + line if line else "" for line in script.read_text().splitlines()]
