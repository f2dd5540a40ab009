import pytest

from modelyard import rbac
from modelyard.engine.kube import RESOURCES

ALL = rbac.cluster_rules() + rbac.namespace_rules()
DANGEROUS = {"*", "escalate", "bind", "impersonate", "deletecollection", "approve", "sign"}
NEVER = {"secrets", "roles", "clusterroles", "rolebindings", "clusterrolebindings", "serviceaccounts/token", "nodes"}


def verbs(group: str, resource: str) -> set[str]:
    return {verb for rule in ALL if rule.group == group and resource in rule.resources for verb in rule.verbs}


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_no_wildcard_no_secret_no_way_up(rule: rbac.Rule) -> None:
    assert "*" not in {rule.group, *rule.resources}
    assert not DANGEROUS & set(rule.verbs)
    if rule == rbac.Rule("", ("nodes",), ("list",)):
        return  # what they have is read, and nothing of them can be changed or reached
    named = {part for resource in rule.resources for part in (resource, resource.split("/")[0])}
    assert not named & (NEVER if rule in rbac.cluster_rules() else NEVER - {"secrets"})


def test_of_secrets_only_its_own_is_read() -> None:
    rules = [rule for rule in rbac.namespace_rules() if "secrets" in rule.resources]
    assert [(rule.verbs, rule.names) for rule in rules] == [(("create",), ()), (("get",), ("modelyard-endpoint-ca",))]


def test_children_are_known_to_the_engine_under_the_same_name() -> None:
    for kind, access in rbac.CHILDREN.items():
        assert (RESOURCES[kind].group, RESOURCES[kind].plural) == (access.group, access.plural)


def test_users_specs_are_not_written() -> None:
    assert verbs("modelyard.dev", "finetunejobs") == {"get", "list", "watch"}
    assert verbs("modelyard.dev", "modeldeployments") == {"get", "list", "watch"}
    assert verbs("modelyard.dev", "finetunejobs/status") == {"patch"}


def test_versions_are_made_and_released_never_deleted() -> None:
    assert verbs("modelyard.dev", "modelversions") == {"get", "list", "watch", "create", "patch"}


def test_pods_are_only_read() -> None:
    assert verbs("", "pods") == {"list", "watch"}


def test_only_what_rooms_declare() -> None:
    resources = {resource for rule in rbac.cluster_rules(["Job"]) for resource in rule.resources}
    assert "jobs" in resources and "deployments" not in resources and "configmaps" not in resources


def test_an_unknown_child_is_an_error() -> None:
    with pytest.raises(KeyError, match="StatefulSet"):
        rbac.cluster_rules(["StatefulSet"])
