from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.localcluster.apiserver import ApiServer
from modelyard.api.kinds import KINDS, Kind
from modelyard.api.tasks import TASKS, VERSION
from tests.builders import artifacts
from tests.cluster.bad_manifests import BAD, CUSTOM, FROM_VERSION
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import FULL_POD, INLINE, REMOVE, changed, smallest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/*.yaml"))
GO_ON = [task.name for task in TASKS.values() if VERSION in {one.start for one in task.support}]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.kind for kind in KINDS])


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with ApiServer() as server:
        kubectl = Kubectl(server.kubeconfig)
        kubectl.ok("create", "-f", str(ROOT / "crds"))
        kubectl.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        kubectl.ok("create", "namespace", "good")
        yield kubectl


@each_kind
def test_served_with_names_and_columns(kubectl: Kubectl, kind: Kind) -> None:
    definition = yaml.safe_load(kubectl.ok("get", "crd", f"{kind.plural}.modelyard.dev", "-o", "yaml"))
    held = {condition["type"]: condition["status"] for condition in definition["status"]["conditions"]}
    assert (held["NamesAccepted"], held["Established"]) == ("True", "True")
    assert "NonStructuralSchema" not in held
    assert kubectl.run("get", kind.short, "-n", "default").returncode == 0


@each_kind
def test_explain_describes_spec_and_status(kubectl: Kubectl, kind: Kind) -> None:
    for part, model in (("spec", kind.spec), ("status", kind.status)):
        told = kubectl.ok("explain", f"{kind.plural}.{part}")
        assert str(model.__doc__).split("\n")[0][:40] in told
    assert "<no description>" not in kubectl.ok("explain", f"{kind.plural}.spec")


def test_explain_describes_a_field(kubectl: Kubectl) -> None:
    assert "Peak rate" in kubectl.ok("explain", "ftj.spec.train.learningRate")
    assert "Rows per optimizer step, over all devices; left out" in kubectl.ok("explain", "ftj.spec.train")


@pytest.mark.parametrize(
    ("kind", "fields", "told"), BAD, ids=[f"{bad[0]}-{bad[2][:50]}-{i}" for i, bad in enumerate(BAD)]
)
def test_refused_by_name(kubectl: Kubectl, kind: str, fields: dict[str, Any], told: str) -> None:
    bad = smallest(kind, **fields)
    message = kubectl.refused("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=bad)
    assert told in message


@each_kind
def test_the_smallest_object_gets_the_defaults_of_the_models(kubectl: Kubectl, kind: Kind) -> None:
    asked = smallest(kind.kind)
    made = kubectl.create(asked, "--dry-run=server", "--validate=strict")
    assert made["spec"] == kind.spec.model_validate(asked["spec"]).dump()
    assert made["status"] == {"observedGeneration": -1}


def test_a_profile_needs_no_spec(kubectl: Kubectl) -> None:
    bare = smallest("TrainingProfile")
    del bare["spec"]
    assert kubectl.create(bare, "--dry-run=server")["spec"]["store"] == {}


FREE: list[dict[str, Any]] = [
    {"metric": "m" * 64, "min": -1e308},
    {"metric": "macro_f1", "max": 1e-300},
    {"metric": "a.b-c_D9", "class": "any one", "max": 0},
    *({"metric": f"metric-{number}", "min": number} for number in range(29)),
]
"""As many as a gate takes; each with the bound that its user means."""


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Dataset", {"name": "a" * 253}),
        ("Dataset", {"name": "re.views"}),
        ("Dataset", {"source": INLINE}),
        ("Dataset", {"prepare": [{"split": {"test": 0.2, "validation": 0.2, "groupBy": "author"}}]}),
        ("FineTuneJob", {"name": "a" * 40}),
        ("FineTuneJob", {"name": "a" * 253, "model": {"name": "b" * 40}}),
        ("FineTuneJob", {"from": {"base": REMOVE, "version": {"model": "b" * 40, "number": 12345}}}),
        *(("FineTuneJob", {"task": task, "from": FROM_VERSION}) for task in GO_ON),
        ("FineTuneJob", {"train": {"learningRate": 1, "epochs": 1000}}),
        ("FineTuneJob", {"method": {"full": {}}, "export": ["onnx"]}),
        ("Dataset", {"task": "custom"}),
        ("FineTuneJob", {"task": "custom"}),
        ("FineTuneJob", {**CUSTOM, "evaluate": {"gate": {"require": FREE}}}),
        ("ModelVersion", {"task": "custom", "artifacts": [{**artifacts("a.b-c_D")[0], "precision": "unknown"}]}),
        ("FineTuneJob", {"evaluate": {"gate": {"require": [{"metric": "recall", "class": "a b", "min": 1}]}}}),
        (
            "FineTuneJob",
            {
                "dataset": {
                    "ref": REMOVE,
                    "inline": {"task": "text-classification", "source": {"s3": {"uri": "s3://data/r"}}},
                }
            },
        ),
        ("ModelVersion", {"name": f"{'a' * 40}-12345", "model": "a" * 40, "number": 12345}),
        ("ModelVersion", {"metrics.0.perClass": {"a b": {"precision": 1, "recall": 1, "f1": 1, "support": 3}}}),
        ("ModelVersion", {"metrics": [{"set": "test", "primary": "bleu", "values": {"bleu": 31.5, "chrf": 55}}]}),
        ("ModelVersion", {"artifacts": [{**artifacts("gguf")[0], "precision": "int4", "base": "sha256:" + "2" * 64}]}),
        ("ModelDeployment", {"name": "a" * 36}),
        ("ModelDeployment", {"model": {"follow": REMOVE, "version": 3}}),
        ("TrainingProfile", {"name": "a" * 253}),
        ("TrainingProfile", {"pod": {"tolerations": [{"operator": "Exists"}, {"key": "gpu", "effect": "NoSchedule"}]}}),
        ("TrainingProfile", {"pod": FULL_POD}),
    ],
)
def test_good_ones_are_accepted(kubectl: Kubectl, kind: str, fields: dict[str, Any]) -> None:
    kubectl.create(smallest(kind, **fields), "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_examples_are_accepted_and_settle(kubectl: Kubectl, path: Path) -> None:
    kubectl.ok("-n", "good", "apply", "--validate=strict", "-f", str(path))
    assert kubectl.ok("-n", "good", "diff", "-f", str(path)) == ""


def test_a_modeldeployment_is_scaled_as_autoscalers_do_it(kubectl: Kubectl) -> None:
    kubectl.create(smallest("ModelDeployment", name="scaled"), "-n", "good")
    kubectl.ok("-n", "good", "scale", "modeldeployment/scaled", "--replicas=3")
    assert kubectl.ok("-n", "good", "get", "mdep", "scaled", "-o", "jsonpath={.spec.serve.replicas.min}") == "3"


IMMUTABLE = {
    "model": "other", "number": 8, "task": "other", "uri": "s3://modelyard/other/", "digest": "sha256:" + "1" * 64,
    "size": 13, "artifacts": artifacts("safetensors", "onnx"), "lineage.trained.run": "2",
    "lineage.trained.image": "trainer:2", "metrics.0.values.accuracy": 0.99, "metrics.0.perClass": {"a": {"f1": 1}},
}  # fmt: skip


@pytest.fixture(scope="module")
def version(kubectl: Kubectl) -> dict[str, Any]:
    return kubectl.create(smallest("ModelVersion"), "-n", "good")


@pytest.mark.parametrize("field", IMMUTABLE)
def test_a_version_never_changes(kubectl: Kubectl, version: dict[str, Any], field: str) -> None:
    message = kubectl.refused("replace", "-f", "-", stdin=changed(version, {field: IMMUTABLE[field]}))
    top = field.split(".")[0]
    assert f"spec.{top} is immutable: make a new version instead" in message or f"spec.{top}: Unsupported" in message


def test_only_the_deletion_policy_of_a_version_may_change(kubectl: Kubectl, version: dict[str, Any]) -> None:
    patch = '{"spec":{"deletionPolicy":"delete"}}'
    kubectl.ok("-n", "good", "patch", "mv", version["metadata"]["name"], "--type=merge", "-p", patch)


def test_users_cannot_write_a_status_and_the_operator_cannot_write_a_spec(kubectl: Kubectl) -> None:
    made = smallest("FineTuneJob", name="status")
    made["status"] = {"phase": "Succeeded"}
    assert kubectl.create(made, "-n", "good")["status"] == {"observedGeneration": -1}
    patch = '{"status":{"phase":"Pending"},"spec":{"attempt":5}}'
    options = ("-n", "good", "patch", "ftj", "status", "--type=merge")
    kubectl.ok(*options, "--subresource=status", "-p", patch)
    written = yaml.safe_load(kubectl.ok("-n", "good", "get", "ftj", "status", "-o", "yaml"))
    assert (written["status"]["phase"], written["spec"]["attempt"]) == ("Pending", 1)


def test_the_category_lists_all_kinds(kubectl: Kubectl, version: dict[str, Any]) -> None:
    assert version["metadata"]["name"] in kubectl.ok("-n", "good", "get", "modelyard")
