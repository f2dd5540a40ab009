"""How the store is reached: chart values, what the operator makes of them, and the fields that messages name."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from dev.localcluster.pki import Authority
from modelyard.api.dataset import S3Source
from modelyard.api.store import LONGEST_BUNDLE, StoreConnection
from modelyard.settings import REQUIRED, Settings
from tests.helm import helm
from tests.unit.chart.conftest import BASIC, CHART, Render, template
from tests.unit.chart.test_chart import one

NAMED = ("endpoint", "region", "addressing", "caBundle", "proxy")


def environment(objects: list[dict[str, Any]]) -> dict[str, Any]:
    container = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


@pytest.fixture
def pem(tmp_path: Any) -> str:
    authority = Authority(tmp_path)
    authority.ensure()
    return authority.certificate.read_text()


def test_nothing_is_set_by_default(render: Render) -> None:
    found = environment(render())
    assert not {"MODELYARD_STORE_CA", "MODELYARD_STORE_PROXY", "MODELYARD_STORE_ADDRESSING"} & set(found)


def test_values_reach_the_platform(tmp_path: Any, pem: str) -> None:
    values = {"store": {"caBundle": pem, "proxy": "http://proxy:3128", "addressing": "virtualHost", "region": "eu-9"}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    basic = [part for value in BASIC for part in ("--set", value)]
    done = helm("template", "prod", str(CHART), "--kube-version", "1.34.0", "-f", str(tmp_path / "values.yaml"), *basic)
    assert done.returncode == 0, done.stderr
    found = environment([obj for obj in yaml.safe_load_all(done.stdout) if obj])
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    store = Settings.from_environment({name: "x" for name in REQUIRED} | texts).platform.store
    assert store == StoreConnection(
        endpoint="http://store:9000",
        region="eu-9",
        addressing="virtualHost",
        ca_bundle=pem.strip(),
        proxy="http://proxy:3128",
    )


@pytest.mark.parametrize(("kind", "reference"), [("configMap", "configMapKeyRef"), ("secret", "secretKeyRef")])
def test_the_bundle_of_another_object(render: Render, kind: str, reference: str) -> None:
    found = environment(render(f"store.caBundleFrom.{kind}=trust"))
    assert found["MODELYARD_STORE_CA"] == {reference: {"name": "trust", "key": "ca.crt"}}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (("store.addressing=host",), "/store/addressing"),
        (("store.proxy=http://me:secret@proxy:3128",), "/store/proxy"),
        (("store.proxy=proxy:3128",), "/store/proxy"),
        (("store.caBundle=/etc/ssl/ca.pem",), "/store/caBundle"),
        (("store.caBundle=-----BEGIN CERTIFICATE----------BEGIN PRIVATE KEY-----",), "/store/caBundle"),
        (("store.caBundleFrom.secret=a", "store.caBundleFrom.configMap=b"), "give only one of store.caBundle"),
        (("store.caBundleFrom.secret=a", "store.caBundle=-----BEGIN CERTIFICATE-----"), "give only one of"),
    ],
)
def test_bad_values_are_refused_by_name(values: tuple[str, ...], told: str) -> None:
    done = template(*BASIC, *values)
    assert done.returncode != 0 and told in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MODELYARD_STORE_CA", "-----BEGIN CERTIFICATE-----\nx", "chart value store.caBundle: not a PEM certificate"),
        ("MODELYARD_STORE_CA", "nothing", "chart value store.caBundle"),
        ("MODELYARD_STORE_PROXY", "http://me:secret@proxy", "chart value store.proxy"),
    ],
)
def test_the_operator_says_so_at_its_start(variable: str, value: str, told: str) -> None:
    with pytest.raises(SystemExit, match=told):
        Settings.from_environment({name: "http://x" for name in REQUIRED} | {variable: value})


def test_the_fields_that_messages_name_exist() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["store"]["properties"]
    assert set(NAMED) <= set(schema)
    assert schema["caBundle"]["maxLength"] == LONGEST_BUNDLE
    assert set(NAMED) <= set(S3Source.model_json_schema(by_alias=True)["properties"])
    assert {*NAMED} == set(StoreConnection.model_json_schema(by_alias=True)["properties"])
