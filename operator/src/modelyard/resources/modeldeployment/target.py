"""Which version the spec asks for: the pinned one, or the highest Ready one whose gate passed."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard import names
from modelyard.api.tasks import TASKS
from modelyard.resources.conditions import Verdict
from modelyard.resources.modeldeployment import refresh
from modelyard.resources.modeldeployment.situation import Server, Situation, Version

NAME_LIMIT = 52


@dataclass(frozen=True, slots=True)
class Target:
    """The wanted version, or why nothing new can be served; what serves goes on in either case."""

    number: int | None = None
    fault: Verdict | None = None
    held: int | None = None
    """The wanted version, where the cluster does not let it be started now: what runs of it already stays."""


def choose(s: Situation) -> Target:
    """The wanted version, checked for what would keep it from being started at all."""
    target = _follow(s) if s.spec.model.version is None else _pinned(s, s.spec.model.version)
    if target.number is None:
        return target
    if s.serving is not None and target.number == s.serving.number:
        return _of_serving(s, s.serving, target)
    if blocked := s.barrier or _no_kserve(s):
        return Target(fault=blocked, held=target.number)
    fault = _no_server(s, s.versions[target.number]) or _too_long(s, Server(target.number))
    return Target(fault=fault) if fault else target


def _of_serving(s: Situation, serving: Server, target: Target) -> Target:
    """The version stays; another server of it may be wanted, or be on trial already."""
    if blocked := s.barrier or _no_kserve(s):
        return Target(target.number, target.fault or blocked, held=target.number)
    too_long = _too_long(s, serving.next) if refresh.wanted(s) else None
    return Target(target.number, target.fault or too_long)


def _pinned(s: Situation, number: int) -> Target:
    """A pin is a human's word: the gate does not count, verification always does."""
    version = s.versions.get(number)
    if s.serving is not None and number == s.serving.number and (version is not None or _runs(s, s.serving)):
        return Target(number)
    if version is None:
        return Target(fault=_not_found(s, number))
    if version.deleting:
        return Target(fault=_stuck(names.VERSION_NOT_READY, f"{_title(s, version)} is being deleted"))
    if version.trouble:
        return Target(fault=_stuck(names.VERSION_NOT_READY, f"{_title(s, version)} is not Ready: {version.trouble}"))
    if not version.ready:
        return Target(fault=_waiting(f"{_title(s, version)} is not verified yet"))
    return Target(number)


def _follow(s: Situation) -> Target:
    """Up to a better version at once; down only when the serving one is rejected, never because it is unknown."""
    passed = [v for v in s.versions.values() if v.ready and v.gate == "passed" and not v.deleting]
    best = max(passed, key=lambda v: v.number, default=None)
    serving = s.serving
    if serving is None:
        return Target(best.number) if best else Target(fault=_none_passed(s))
    rejected = s.versions[serving.number].rejected if serving.number in s.versions else not _runs(s, serving)
    if best is not None and (best.number > serving.number or rejected):
        return Target(best.number)
    return Target(serving.number, _none_passed(s) if rejected else None)


def _runs(s: Situation, server: Server) -> bool:
    return s.server(server) is not None or s.left_behind(server) is not None


def _none_passed(s: Situation) -> Verdict:
    model = s.spec.model.name
    if not s.versions:
        return _waiting(f"model {model} has no version yet")
    highest = s.versions[max(s.versions)]
    if not (highest.ready or highest.rejected):
        return _waiting(f"{_title(s, highest)} is not verified yet")
    text = (
        f"no version of model {model} is Ready with its gate passed; the highest, {highest.number}, "
        f"{_verdict(highest)}. Train a better one, change its job's evaluate.gate, or pin one with spec.model.version"
    )
    return _stuck(names.NO_VERSION, text)


def _verdict(version: Version) -> str:
    if version.deleting:
        return "is being deleted"
    if version.trouble:
        return f"is not Ready: {version.trouble}"
    return {"failed": "has failed its gate", "passed": "has passed its gate"}.get(version.gate, "is unjudged")


def _no_kserve(s: Situation) -> Verdict | None:
    if not s.blocked:
        return None
    where = "spec.serve.backend" if s.spec.serve.backend else "status.backend"
    text = (
        f"{where} is kserve, but the cluster does not serve serving.kserve.io (InferenceService v1beta1, "
        "ClusterServingRuntime and ClusterStorageContainer v1alpha1): install KServe, or set "
        "spec.serve.backend: deployment"
    )
    return _stuck(names.KSERVE_MISSING, text)


def _no_server(s: Situation, version: Version) -> Verdict | None:
    if not TASKS[version.spec.task].foreign:
        return _no_format(s, version)
    text = (
        f"{_title(s, version)} is of task {version.spec.task}, which only its own program can serve: the server of "
        "this project knows no such task, and a ServingProfile cannot name another server yet. Fetch its files from "
        f"{version.spec.uri} and serve them yourself, or set spec.model.version to a version of another task"
    )
    return _stuck(names.SERVER_MISSING, text)


def _no_format(s: Situation, version: Version) -> Verdict | None:
    if "onnx" in version.spec.formats:
        return None
    text = (
        f"{_title(s, version)} has no format onnx ({', '.join(version.spec.formats)}): add onnx to spec.export of "
        f"FineTuneJob {version.spec.job} and train again"
    )
    return _stuck(names.FORMAT_MISSING, text)


def _too_long(s: Situation, server: Server) -> Verdict | None:
    child = s.server_name(server)
    length = len(child) + len(s.namespace)
    if length <= NAME_LIMIT:
        return None
    text = (
        f"server {child} and namespace {s.namespace} have {length} characters together, at most {NAME_LIMIT} are "
        f"allowed: choose a metadata.name that is {length - NAME_LIMIT} shorter"
    )
    return _stuck(names.NAME_TOO_LONG, text)


def _not_found(s: Situation, number: int) -> Verdict:
    known = ", ".join(str(n) for n in sorted(s.versions)[-10:]) or "none"
    text = f"ModelVersion {s.spec.model.name}-{number} does not exist (there are: {known}): set spec.model.version"
    return _stuck(names.VERSION_NOT_FOUND, text)


def _title(s: Situation, version: Version) -> str:
    return f"version {version.number} of model {s.spec.model.name}"


def _stuck(reason: str, message: str) -> Verdict:
    return Verdict(False, reason, message, stalled=True)


def _waiting(message: str) -> Verdict:
    return Verdict(False, names.WAITING_FOR_VERSION, message)
