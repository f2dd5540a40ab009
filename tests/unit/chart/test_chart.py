from typing import Any

import pytest
import yaml

from modelyard import rbac
from modelyard.api.crd import custom_resource_definitions
from modelyard.settings import REQUIRED
from tests.helm import helm
from tests.unit.chart.conftest import CHART, Render, template


def one(objects: list[dict[str, Any]], kind: str, name: str = "prod-modelyard") -> dict[str, Any]:
    found = [obj for obj in objects if obj["kind"] == kind]
    named = [obj for obj in found if obj["metadata"]["name"] == name] if len(found) > 1 else found
    assert len(named) == 1, kind
    return named[0]


def test_lint() -> None:
    done = helm("lint", str(CHART), "--strict", "--set", "store.endpoint=http://s:9000,store.existingSecret=key")
    assert done.returncode == 0, done.stdout


def test_definitions_are_those_of_the_code_and_no_part_of_the_release(render: Render) -> None:
    """What is part of a release is taken back by `helm rollback`, and deleted with it."""
    found = [yaml.safe_load(path.read_text()) for path in (CHART / "crds").glob("*.yaml")]
    by_name = {crd["metadata"]["name"]: crd for crd in found}
    assert by_name == {crd["metadata"]["name"]: crd for crd in custom_resource_definitions()}
    assert "CustomResourceDefinition" not in {obj["kind"] for obj in render()}


def test_no_object_of_a_kind_that_the_chart_brings(render: Render) -> None:
    assert not [obj for obj in render() if obj["apiVersion"].startswith("modelyard.dev")]


def test_permissions_are_the_generated_ones(render: Render) -> None:
    assert one(render(), "ClusterRole")["rules"] == [rule.manifest() for rule in rbac.cluster_rules()]
    own = {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["prod-modelyard"], "verbs": ["patch"]}
    assert one(render(), "Role")["rules"] == [*(rule.manifest() for rule in rbac.namespace_rules()), own]


def test_roles_are_bound_to_the_service_account(render: Render) -> None:
    account = {"kind": "ServiceAccount", "name": "prod-modelyard", "namespace": "ops"}
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        assert one(render(), kind)["subjects"] == [account]
    assert one(render(), "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]


def test_nothing_wild(render: Render) -> None:
    for role in (obj for obj in render() if obj["kind"] in {"Role", "ClusterRole"}):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"] or role["kind"] == "Role"


def test_one_operator_at_a_time(render: Render) -> None:
    spec = one(render(), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 25


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pods_are_restricted(render: Render, kind: str) -> None:
    """What Pod Security `restricted` asks for, and a read-only root."""
    pod = one(render(), kind)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "limits" in container["resources"]


def test_probes(render: Render) -> None:
    container = one(render(), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    ports = [{"name": "http", "containerPort": 8080}, {"name": "endpoint", "containerPort": 8443}]
    assert container["ports"] == ports


def test_the_operator_gets_all_that_its_settings_require(render: Render) -> None:
    container = one(render(), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    given = {entry["name"]: entry for entry in container["env"]}
    assert set(REQUIRED) <= set(given)
    assert given["MODELYARD_STORE_ENDPOINT"]["value"] == "http://store:9000"
    assert given["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"] == {"name": "key", "key": "AWS_ACCESS_KEY_ID"}


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ((), "modelyard/operator:0.1.0"),
        (("image.operator.repository=localhost:5000/prod/op", "image.operator.tag=t1"), "localhost:5000/prod/op:t1"),
        ((f"image.operator.digest=sha256:{'a' * 64}",), f"modelyard/operator@sha256:{'a' * 64}"),
    ],
)
def test_images(render: Render, values: tuple[str, ...], image: str) -> None:
    for kind in ("Deployment", "Job"):
        assert one(render(*values), kind)["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_the_chart_makes_a_secret_only_from_a_key(render: Render) -> None:
    assert "Secret" not in {obj["kind"] for obj in render()}
    values = ("store.endpoint=http://s:9000", "store.accessKey=me", "store.secretKey=k3y")
    secret = one(render(*values, basic=False), "Secret")
    assert secret["stringData"] == {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "k3y"}


def test_uninstallation_stops_the_operator_and_releases_versions(render: Render) -> None:
    job = one(render(), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments == ["release-finalizers", "--namespace=ops", "--deployment=prod-modelyard"]
    selector = one(render(), "Deployment")["spec"]["selector"]["matchLabels"]
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()
    assert "Job" not in {obj["kind"] for obj in render("uninstall.releaseFinalizers=false")}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (("colour=blue",), "additional properties 'colour' not allowed"),
        (("store.buckets=a",), "additional properties 'buckets' not allowed"),
        (("operator.replicas=2",), "additional properties 'replicas' not allowed"),
        (("image.operator.name=a",), "additional properties 'name' not allowed"),
        (("operator.workers=0",), "/operator/workers"),
        (("store.endpoint=minio:9000",), "/store/endpoint"),
        (("image.pullPolicy=Sometimes",), "/image/pullPolicy"),
        (("store.existingSecret=key",), "store.endpoint: give the S3 endpoint"),
        (("store.endpoint=http://s:9000",), "set store.existingSecret"),
        (("store.endpoint=http://s:9000", "store.accessKey=a"), "set store.existingSecret"),
    ],
)
def test_bad_values_are_refused_by_name(values: tuple[str, ...], told: str) -> None:
    done = template(*values)
    assert done.returncode != 0 and told in done.stderr


def test_policies_are_there_unless_left_out(render: Render) -> None:
    names = [obj["metadata"]["name"] for obj in render() if obj["kind"] == "ValidatingAdmissionPolicy"]
    assert names == [
        f"prod-modelyard-{name}"
        for name in ("profile-finetunejobs", "profile-datasets", "profile-modeldeployments", "places", "writers")
    ]
    bound = [obj["spec"]["policyName"] for obj in render() if obj["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert bound == names
    kinds = {obj["kind"] for obj in render("admission.enabled=false")}
    assert not [kind for kind in kinds if kind.startswith("ValidatingAdmission")]


def test_trusted_users_are_writers(render: Render) -> None:
    (writers,) = [
        obj
        for obj in render("admission.trustedUsers={system:serviceaccount:velero:velero}")
        if obj["kind"] == "ValidatingAdmissionPolicy" and obj["metadata"]["name"].endswith("-writers")
    ]
    (variable,) = writers["spec"]["variables"]
    assert (
        variable["expression"] == "['system:serviceaccount:ops:prod-modelyard', 'system:serviceaccount:velero:velero']"
    )


def test_users_roles_write_no_status_and_make_no_version(render: Render) -> None:
    edit = one(render(), "ClusterRole", "prod-modelyard-edit")
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    granted = {(resource, verb) for rule in edit["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert ("finetunejobs", "create") in granted and ("modelversions", "create") not in granted
    special = {resource for resource, _ in granted if "/" in resource or resource.endswith("profiles")}
    assert special == {"modeldeployments/scale"}


def test_no_pod_of_the_release_asks_for_a_user_by_number(render: Render) -> None:
    """Policies that give each namespace numbers of its own refuse others; the image says that it is not root."""
    made = [obj["spec"]["template"]["spec"] for obj in render() if obj["kind"] in ("Deployment", "Job")]
    assert len(made) == 2
    for pod in made:
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_a_network_policy_is_there_when_asked(render: Render) -> None:
    """Rendering only: the embedded cluster's network plugin enforces none."""
    assert "NetworkPolicy" not in {obj["kind"] for obj in render()}
    spec = one(render("networkPolicy.enabled=true"), "NetworkPolicy")["spec"]
    pod = one(render(), "Deployment")["spec"]["template"]
    assert spec["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert {port["port"] for rule in spec["ingress"] for port in rule["ports"]} <= ports
