"""Fields and commands that a message or a page names are there: in the CRDs, in kubectl, in the Makefile."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[3]
SOURCES = ("operator/src", "trainer-image/src")
PAGES = ("README.md", "docs/*.md", "charts/modelyard/templates/NOTES.txt")
FIELD = re.compile(r"(?<![\w./-])(?:spec|status)(?:\.[a-z]\w*(?:\[\w*\])?)+(?![\w.]*!?=)")
"""Before a '=' it is a field selector of Kubernetes."""
COMMAND = re.compile(r"\bkubectl((?: -n \S+| -A)*) ([a-z-]+)((?: -{1,2}\S+)*)(?: ([a-z]\S*))?")
TARGET = re.compile(r"(?:`|^ {4})make ([a-z][a-z-]*)\b", re.MULTILINE)
VERBS = {"apply", "create", "delete", "describe", "edit", "explain", "get", "label", "annotate", "logs", "patch"} | {
    "rollout", "scale", "wait", "port-forward", "exec", "config", "run", "top", "auth", "diff",
}  # fmt: skip
PROSE = {"as", "and", "or", "is"}
CORE = {
    "namespace", "ns", "secret", "secrets", "pod", "pods", "job", "jobs", "deployment", "deployments", "service", "svc",
    "configmap", "configmaps", "events", "event", "nodes", "node", "lease", "leases", "clusterrolebinding", "token",
    "localqueue", "workload", "workloads", "crd", "inferenceservice", "isvc", "resourcequota", "networkpolicy",
    "rolebinding", "serviceaccount", "deploy", "all", "quota", "sa", "role", "clusterrole", "httproute",
    "clusterservingruntimes", "clusterstoragecontainers",
}  # fmt: skip
"""Kinds of Kubernetes, Kueue and KServe."""
WORDS = {
    "gRPC", "kB", "oldSelf", "ownerReference", "resourceVersion", "storageUri", "lastUpdatedTime", "emptyDir",
    "trainerStatus", "progressPercentage", "estimatedRemainingSeconds", "camelCase", "generateName", "mTLS",
    "runAs", "fsGroup", "chrF", "viewBox",
}  # fmt: skip
"""Words in camel case that are no fields of ours: of Kubernetes, KServe, the progress protocol, metrics and SVG."""
CAMEL = re.compile(r"(?<![\w./-])[a-z]+[A-Z]\w*\b")


class Text(NamedTuple):
    """A piece of text that somebody reads, and where it stands."""

    place: str
    text: str
    is_doc: bool = False

    @property
    def reconciler(self) -> str:
        """The kind, lower-case, whose reconciler the text stands in; empty elsewhere."""
        found = re.search(r"/resources/(\w+)/", self.place)
        return found[1] if found else ""


@cache
def crds() -> dict[str, dict[str, Any]]:
    """Kind, lower-case -> its CRD."""
    found = (yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml")))
    return {crd["spec"]["names"]["kind"].lower(): crd for crd in found}


def schema(kind: str) -> dict[str, Any]:
    return dict(crds()[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def has(kind: str, path: str) -> bool:
    """True if the kind's schema knows the field."""
    node = schema(kind)
    for part in re.sub(r"\[\w*\]", "", path).split("."):
        node = node.get("items", node)
        if part not in node.get("properties", {}):
            return "additionalProperties" in node or bool(node.get("x-kubernetes-preserve-unknown-fields"))
        node = node["properties"][part]
    return True


def kinds_of(text: Text) -> list[str]:
    """Kinds that may be meant: the reconciler's own and those that the text names, elsewhere any."""
    named = [kind for kind in crds() if kind in text.text.lower()]
    return [text.reconciler, *named] if text.reconciler in crds() and " " in text.text else list(crds())


@cache
def messages() -> tuple[Text, ...]:
    """Every string literal of operator and trainer; what is filled in is a gap."""
    return tuple(
        text for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py")) for text in _literals(path)
    )


def _literals(path: Path) -> Iterator[Text]:
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            told = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield Text(f"{path.relative_to(ROOT)}:{node.lineno}", "".join(map(str, told)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield Text(f"{path.relative_to(ROOT)}:{node.lineno}", node.value, id(node) in docs)


@cache
def pages() -> tuple[Text, ...]:
    """Every paragraph, table row or block of the pages."""
    files = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    return tuple(
        Text(f"{path.relative_to(ROOT)}:{number}", line)
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
    )


def unknown_fields(texts: tuple[Text, ...]) -> list[str]:
    named = ((text, field) for text in texts for field in FIELD.findall(text.text))
    return [f"{text.place} {field}" for text, field in named if not any(has(kind, field) for kind in kinds_of(text))]


@cache
def properties() -> set[str]:
    """Names of all fields of all kinds, and the words that they take."""
    found: set[str] = set()

    def walk(node: dict[str, Any]) -> None:
        found.update(node.get("properties", {}), map(str, node.get("enum", ())))
        for inner in (*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")):
            if isinstance(inner, dict):
                walk(inner)

    for kind in crds():
        walk(schema(kind))
    return found


def unknown_words(texts: tuple[Text, ...]) -> list[str]:
    """Words in camel case that are no field of ours, and paths below spec, given without it, that are none."""
    told = [text for text in texts if " " in text.text and not text.is_doc]
    words = [(text, word) for text in told for word in CAMEL.findall(text.text) if word not in properties() | WORDS]
    paths = ((text, path) for text in told for path in below_spec().findall(text.text))
    wrong = [(text, path) for text, path in paths if not any(has(kind, f"spec.{path}") for kind in crds())]
    return [f"{text.place} {what}" for text, what in words + wrong]


@cache
def below_spec() -> re.Pattern[str]:
    """Paths such as train.epochs; neither file names nor calls nor hosts."""
    tops = {top for kind in crds() for top in schema(kind)["properties"].get("spec", {}).get("properties", {})}
    words = "|".join(sorted(tops, key=len, reverse=True))
    path = rf"(?!dataset\.spec)(?:{words})(?:\.(?!onnx|json|safetensors|kserve)[a-z]\w*)+"
    return re.compile(rf"(?<![\w./:-])(?<!chart value ){path}\b(?![(.])")


def known_resources() -> set[str]:
    words = (crd["spec"]["names"] for crd in crds().values())
    ours = {word for n in words for word in (n["plural"], n["singular"], *n["shortNames"], *n.get("categories", ()))}
    return ours | CORE


def _kind(word: str) -> str:
    """Plural, singular or short name -> the kind, lower-case."""
    return next(kind for kind, crd in crds().items() if word in str(crd["spec"]["names"]))


def wrong_commands(texts: tuple[Text, ...]) -> list[str]:
    found = []
    for text in texts:
        for match in COMMAND.finditer(text.text):
            if match[2] in PROSE:
                continue
            verb, what = match[2], (match[4] or "").split("/")[0].strip(".,;:`\"')")
            asks_for_kind = verb in ("get", "describe", "delete", "edit", "patch", "logs", "explain", "create", "wait")
            kinds = set(what.split(",")) if asks_for_kind and what and "=" not in match[0] else set()
            if verb == "explain" and what:
                kind, _, field = what.partition(".")
                kinds = {kind if not field or has(_kind(kind), field) else what}
            if verb not in VERBS or not kinds <= known_resources():
                found.append(f"{text.place} {match[0]}")
    return found


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("texts", [messages, pages], ids=["messages", "pages"])
def test_named_fields_exist(texts: Any) -> None:
    assert unknown_fields(texts()) == []


@pytest.mark.parametrize("texts", [messages, pages], ids=["messages", "pages"])
def test_named_commands_exist(texts: Any) -> None:
    assert wrong_commands(texts()) == []
    made = [(text, word) for text in texts() for word in TARGET.findall(text.text)]
    assert [f"{text.place} make {word}" for text, word in made if word not in targets()] == []


def test_named_words_are_fields() -> None:
    assert unknown_words(messages()) == []


def test_a_wrong_name_is_noticed() -> None:
    assert unknown_fields((Text("a", "lower spec.train.batchsize"),)) == ["a spec.train.batchsize"]
    assert unknown_fields((Text("operator/src/modelyard/resources/dataset/a.py:1", "see spec.train.epochs"),))
    assert not unknown_fields((Text("/resources/dataset/a.py:1", "see spec.train.epochs of the FineTuneJob"),))
    assert wrong_commands((Text("a", "kubectl -n x get trainings"), Text("b", "kubectl shout ftj"))) != []
    assert wrong_commands((Text("a", "kubectl -n x get ftj"),)) == []
    assert unknown_words((Text("a", "lower train.batchsize"), Text("a", "lower rowsPerBatch"))) != []
    assert len([field for text in messages() for field in FIELD.findall(text.text)]) > 80
