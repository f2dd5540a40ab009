"""Runs the chart's Lua scripts as Argo CD does: Lua 5.1, the object as global `obj`, no library but the base."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from lupa import lua51

Manifest = dict[str, Any]
CONFIG_MAP = Path(__file__).parents[1] / "charts/modelyard/files/argocd/argocd-cm.yaml"
STATES = ("Healthy", "Progressing", "Degraded", "Suspended")
FORBIDDEN = ("os", "io", "string", "math", "package", "debug", "require", "module", "dofile", "loadfile", "python")


@cache
def settings() -> dict[str, str]:
    """The data of argocd-cm as we ship it."""
    return dict(yaml.safe_load(CONFIG_MAP.read_text())["data"])


def health(obj: Manifest) -> tuple[str, str]:
    """Status and message that Argo CD shows for an object."""
    found = _run(settings()[f"resource.customizations.health.modelyard.dev_{obj['kind']}"], obj)
    assert found["status"] in STATES, found
    assert isinstance(found["message"], str) and found["message"], found
    return found["status"], found["message"]


def actions(obj: Manifest) -> dict[str, bool]:
    """Name of each action of the object's kind, and whether it may be pressed now."""
    kind = _actions(obj["kind"])
    found = _run(kind["discovery.lua"], obj) if kind else {}
    assert set(found) == {each["name"] for each in kind.get("definitions", [])}
    return {name: not options["disabled"] for name, options in found.items()}


def press(action: str, obj: Manifest) -> Manifest:
    """The object as the action returns it."""
    scripts = {each["name"]: each["action.lua"] for each in _actions(obj["kind"])["definitions"]}
    return dict(_as_before(_run(scripts[action], obj), obj))


def drift(git: Manifest, live: Manifest, at: str = "spec") -> Iterator[str]:
    """Fields that Argo CD's three-way diff calls different: of custom resources it compares a list as a whole."""
    for key, value in git.items():
        there = live.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            yield from drift(value, there, f"{at}.{key}")
        elif value != there:
            yield f"{at}.{key}"


def _actions(kind: str) -> Manifest:
    return dict(yaml.safe_load(settings().get(f"resource.customizations.actions.modelyard.dev_{kind}", "{}")))


def _run(script: str, obj: Manifest) -> Manifest:
    lua = lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    lua.execute('getmetatable("").__index = nil')
    for library in FORBIDDEN:
        lua.globals()[library] = None
    lua.globals()["obj"] = lua.table_from(_without_null(obj), recursive=True)
    return dict(_plain(lua.execute(script)))


def _as_before(new: Any, old: Any) -> Any:
    """Lua has one empty table for lists and maps: Argo CD leaves what was empty as it was."""
    if isinstance(new, dict) and not new and isinstance(old, list):
        return []
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: _as_before(value, old.get(key)) for key, value in new.items()}
    if isinstance(new, list) and isinstance(old, list):
        return [_as_before(value, before) for value, before in zip(new, old, strict=False)] + new[len(old) :]
    return new


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    """A Lua table as dict or list; an empty one is taken for a dict, as Argo CD takes it."""
    if lua51.lua_type(value) != "table":
        return value
    found = {key: _plain(item) for key, item in value.items()}
    is_list = bool(found) and list(found) == list(range(1, len(found) + 1))
    return list(found.values()) if is_list else found
