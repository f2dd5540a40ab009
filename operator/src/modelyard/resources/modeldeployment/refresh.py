"""Refresh: a server that would be made otherwise now is moved like a version, when it is asked for and never else.

A server keeps the pod template that it went live with. What the installation has changed since (image, way to the
store) reaches it by a second server of the same version, which is tried as any candidate, gets the traffic, and
lets the first one drain.
"""

from __future__ import annotations

from typing import Any

from modelyard import names
from modelyard.decision import Manifest
from modelyard.resources.modeldeployment.backend import fresh_template
from modelyard.resources.modeldeployment.server import pinned_template
from modelyard.resources.modeldeployment.situation import Situation

IMAGE, STORE, TEMPLATE = "image", "store", "template"
INSTALLATION = {IMAGE, STORE}
"""What the platform team changes by chart values; these alone are followed without being asked."""
VALUE_LIMIT = 253


def asked_value(s: Situation) -> str | None:
    """What the annotation says, as far as the status keeps it; None without one."""
    value = (s.obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REFRESH)
    return None if value is None else str(value)[:VALUE_LIMIT]


def is_asked(s: Situation) -> bool:
    """True while the annotation has a value that was not acted on yet."""
    value = asked_value(s)
    return value is not None and value != s.last.refreshed


def is_known(s: Situation) -> bool:
    """True where the serving server can be compared with one that would be made now."""
    served = s.served
    known = served is not None and s.barrier is None and not s.blocked
    return known and served is not None and pinned_template(s.server(served.server)) is not None


def behind(s: Situation) -> tuple[str, ...]:
    """In what the serving server differs from one that would be made now; empty where that is not known."""
    served = s.served
    pinned = None if served is None else pinned_template(s.server(served.server))
    if served is None or pinned is None or not is_known(s) or pinned == (fresh := fresh_template(s, served)):
        return ()
    parts = [word for word, of in ((IMAGE, _image), (STORE, _store)) if of(pinned) != of(fresh)]
    return (*parts, *([TEMPLATE] if _rest(pinned) != _rest(fresh) else []))


def wanted(s: Situation) -> bool:
    """True when the serving server should be replaced by one that is made as of now."""
    parts, served = set(behind(s)), s.served
    if not parts or served is None or served.version.deleting or not served.version.ready:
        return False
    return is_asked(s) or (s.observed.platform.refresh and bool(parts & INSTALLATION))


def _containers(template: Manifest) -> list[Manifest]:
    spec = template["spec"]
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def _image(template: Manifest) -> Any:
    """Under KServe the runtime, which is named after its content, stands for the image."""
    return [c.get("image") for c in _containers(template)], template["spec"].get("model", {}).get("runtime")


def _store(template: Manifest) -> Any:
    """The variables that say where the store is; under KServe the storage container, named after its content."""
    env = [entry for c in template["spec"].get("initContainers", ()) for entry in c.get("env", ()) if _of_store(entry)]
    return env, template["spec"].get("storageContainerName")


def _of_store(entry: Manifest) -> bool:
    return str(entry["name"]).startswith("MODELYARD_STORE_")


def _rest(template: Manifest) -> Any:
    """All but image and store, and but the hash, which is of the whole."""
    spec, marks = dict(template["spec"]), template["metadata"]
    spec["initContainers"] = [
        {**_without(c, "image"), "env": [entry for entry in c.get("env", ()) if not _of_store(entry)]}
        for c in spec.get("initContainers", ())
    ]
    spec["containers"] = [_without(c, "image") for c in spec.get("containers", ())]
    spec["model"] = _without(spec.get("model", {}), "runtime")
    notes = _without(marks.get("annotations", {}), names.ANNOTATION_TEMPLATE)
    return _without(spec, "storageContainerName"), marks.get("labels"), notes


def _without(found: Manifest, *keys: str) -> Manifest:
    return {key: value for key, value in found.items() if key not in keys}
