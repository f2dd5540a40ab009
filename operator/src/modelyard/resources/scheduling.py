"""Why no node takes a pod: the scheduler's sentence in our words, with what was asked and which field helps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from modelyard.api.amount import amount
from modelyard.decision import Fact, Manifest, Observed
from modelyard.resources.conditions import condition

WORDS = {"cpu": "CPU", "ephemeral-storage": "disk"}
FIELDS = ("gpu", "cpu", "memory")
CAPACITY = Fact.of("capacity", max_age=30.0)
"""The same for all who wait."""
MOST_NODES = 50
"""Of more nodes nothing is asked: the pods of each would be listed."""
NO_NODE = "no node has"
GIB = 1 << 30
Capacity = Mapping[str, Mapping[str, float]]
"""Resource -> `most` that one node has for pods, and `free`, the most that is free on one; empty: not known."""


def capacity_needs(pods: Sequence[Manifest]) -> Iterator[Fact]:
    """What nodes have, asked while a pod waits because none has enough."""
    for pod in pods:
        placed = condition(pod, "PodScheduled") or {}
        total, parts = _parts(placed.get("message", "")) if placed.get("status") == "False" else (0, [])
        if total <= MOST_NODES and any(why.startswith("Insufficient") for _, why in parts):
            yield CAPACITY
            return


def capacity_in(observed: Observed) -> Capacity:
    """What nodes have, as far as it is known."""
    answer = observed.fact(CAPACITY)
    return {} if answer is None else answer.value or {}


def why_unscheduled(pod: Manifest, message: str, resources: str, profile: str, capacity: Capacity) -> str:
    """Cause, then remedy; `resources` is the field that says what pods ask for, `profile` the kind that places them."""
    total, parts = _parts(message)
    if not parts:
        return f"waiting: no node can take the pod: {message.strip().rstrip('.')}; add a node"
    told = [_cause(pod, int(count), total, why, capacity) for count, why in parts]
    reasons = [why for _, why in parts]
    in_vain = any(NO_NODE in cause for cause in told)
    return f"waiting: {', '.join(told)}; {_remedy(reasons, resources, profile, in_vain=in_vain)}"


def _parts(message: str) -> tuple[int, list[tuple[str, str]]]:
    """Number of all nodes, and each reason with the number of nodes that have it."""
    found = re.match(r"0/(\d+) nodes are available: (.*)", re.split(r",? no new claims|\.? preemption:", message)[0])
    if found is None:
        return 0, []
    return int(found[1]), re.findall(r"(\d+) (.+?)(?=, \d+ |\.?\s*$)", found[2])


def _cause(pod: Manifest, count: int, total: int, why: str, capacity: Capacity) -> str:
    where = _nodes(count) if count == total else f"{count} of {_nodes(total)}"
    short = re.match(r"Insufficient (\S+)", why)
    if short:
        return _too_little(pod, short[1], where, capacity)
    taint = re.search(r"taint\(?s?\)? ?\{([^}]*)\}", why)
    if why.endswith("untolerated taint(s)"):  # newer schedulers name none
        return f"taints that the pod does not tolerate on {where} (kubectl describe nodes shows them)"
    if taint:
        return f"taint {taint[1].strip().rstrip(':')} on {where}"
    if "node affinity/selector" in why:
        return f"labels that the pod needs are missing on {where}"
    return f"{why.replace('node(s) ', '')} on {where}"


def _too_little(pod: Manifest, resource: str, where: str, capacity: Capacity) -> str:
    asked = f"{_asked(pod, resource)} {_word(resource)} asked"
    needed = sum(amount(each) for each in _requests(pod, resource))
    found = capacity.get(resource, {"most": 0.0, "free": 0.0}) if capacity else {"most": math.inf, "free": math.inf}
    if needed > found["most"]:
        most = _shown(resource, found["most"])
        return f"{asked}, {NO_NODE} {'any' if most == '0' else f'more than {most}'}"
    if needed > found["free"]:
        left = _shown(resource, found["free"])
        return f"{asked}, {'' if left == '0' else 'at most '}{left} free on {where}"
    left = "0 free" if _is_device(resource) and needed == 1 else "less free"
    return f"{asked}, {left} on {where}"


def _shown(resource: str, number: float) -> str:
    """Rounded down, so that little changes do not change the words."""
    unit, one = ("Gi", GIB) if resource in ("memory", "ephemeral-storage") else ("", 1)
    rounded = math.floor(number / one * 10) / 10
    return f"{rounded:g}{unit}" if rounded else "0"


def _is_device(resource: str) -> bool:
    """Counted in whole ones: where one is too much, none is free."""
    return "/" in resource


def _word(resource: str) -> str:
    return "GPU" if resource.endswith("/gpu") else WORDS.get(resource, resource)


def _asked(pod: Manifest, resource: str) -> str:
    """What the pod's containers ask for, each by itself: one of them, as a rule."""
    return " + ".join(_requests(pod, resource)) or "more"


def _requests(pod: Manifest, resource: str) -> list[str]:
    requests = [c.get("resources", {}).get("requests", {}) for c in pod.get("spec", {}).get("containers", [])]
    return [str(each[resource]) for each in requests if resource in each]


def _nodes(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _remedy(reasons: list[str], resources: str, profile: str, *, in_vain: bool) -> str:
    short = [match[1] for match in (re.match(r"Insufficient (\S+)", why) for why in reasons) if match]
    asked = ("gpu" if _is_device(name) else name for name in short)
    fields = [f"{resources}.{field}" for field in asked if field in FIELDS]
    remedies = [f"lower {' and '.join(fields)}"] if fields else []
    if any("taint" in why for why in reasons):
        remedies.append(f"add spec.pod.tolerations to the {profile}")
    if any("selector" in why for why in reasons):
        remedies.append(f"change spec.pod.nodeSelector of the {profile}")
    last = "or add a node that has as much" if in_vain else "add a node, or wait until one is free"
    if all("selector" in why for why in reasons):
        last = "or label or add a node"  # none that becomes free has other labels
    return ", ".join([*remedies, last])
