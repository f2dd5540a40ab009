"""Why no node takes a pod: the scheduler's sentence in our words, with what was asked and which field helps."""

from __future__ import annotations

import re

from modelyard.decision import Manifest

WORDS = {"cpu": "CPU", "ephemeral-storage": "disk"}
FIELDS = ("gpu", "cpu", "memory")


def why_unscheduled(pod: Manifest, message: str, resources: str, profile: str) -> str:
    """Cause, then remedy; `resources` is the field that says what pods ask for, `profile` the kind that places them."""
    total, parts = _parts(message)
    if not parts:
        return f"waiting: no node can take the pod: {message.strip().rstrip('.')}; add a node"
    told = [_cause(pod, int(count), total, why) for count, why in parts]
    return f"waiting: {', '.join(told)}; {_remedy([why for _, why in parts], resources, profile)}"


def _parts(message: str) -> tuple[int, list[tuple[str, str]]]:
    """Number of all nodes, and each reason with the number of nodes that have it."""
    found = re.match(r"0/(\d+) nodes are available: (.*)", re.split(r",? no new claims|\.? preemption:", message)[0])
    if found is None:
        return 0, []
    return int(found[1]), re.findall(r"(\d+) (.+?)(?=, \d+ |\.?\s*$)", found[2])


def _cause(pod: Manifest, count: int, total: int, why: str) -> str:
    where = _nodes(count) if count == total else f"{count} of {_nodes(total)}"
    short = re.match(r"Insufficient (\S+)", why)
    if short:
        return _too_little(pod, short[1], where)
    taint = re.search(r"taint\(?s?\)? ?\{([^}]*)\}", why)
    if taint:
        return f"taint {taint[1].strip().rstrip(':')} on {where}"
    if "node affinity/selector" in why:
        return f"labels that the pod needs are missing on {where}"
    return f"{why.replace('node(s) ', '')} on {where}"


def _too_little(pod: Manifest, resource: str, where: str) -> str:
    asked = _asked(pod, resource)
    left = "0 free" if _is_device(resource) and asked == "1" else "less free"
    return f"{asked} {_word(resource)} asked, {left} on {where}"


def _is_device(resource: str) -> bool:
    """Counted in whole ones: where one is too much, none is free."""
    return "/" in resource


def _word(resource: str) -> str:
    return "GPU" if resource.endswith("/gpu") else WORDS.get(resource, resource)


def _asked(pod: Manifest, resource: str) -> str:
    """What the pod's containers ask for, each by itself: one of them, as a rule."""
    requests = [c.get("resources", {}).get("requests", {}) for c in pod.get("spec", {}).get("containers", [])]
    return " + ".join(str(each[resource]) for each in requests if resource in each) or "more"


def _nodes(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _remedy(reasons: list[str], resources: str, profile: str) -> str:
    short = [match[1] for match in (re.match(r"Insufficient (\S+)", why) for why in reasons) if match]
    asked = ("gpu" if _is_device(name) else name for name in short)
    fields = [f"{resources}.{field}" for field in asked if field in FIELDS]
    remedies = [f"lower {' and '.join(fields)}"] if fields else []
    if any("taint" in why for why in reasons):
        remedies.append(f"add spec.pod.tolerations to the {profile}")
    if any("selector" in why for why in reasons):
        remedies.append(f"change spec.pod.nodeSelector of the {profile}")
    return ", ".join([*remedies, "add a node, or wait until one is free"])
