"""Cluster, store, chart and the stub's profile once per session; a fresh namespace per test module.

Real training takes minutes, so only tests about training itself do it, in at most 9 pods in all of `make test`:

    test_road      2  the whole road, and a version that is gone on from
    test_pods      1  a loss that is not a number
    test_kills     4  one run, three kills
    test_foreign   1  a script of its own in another image

All others use the stub trainer (tests/stubtrainer): real pods on a real kubelet, a real version in the real store.
"""

from __future__ import annotations

import os
import random
import re
import uuid
from collections.abc import Iterator
from itertools import groupby

import pytest

from dev.localcluster.images import image
from examples.demo import install
from examples.demo.cluster import Cluster, embedded_cluster, image_references, running_embedded_cluster
from tests.e2e.aside import alone_on
from tests.e2e.harness import API, STUB_PROFILE, ClusterHarness, tiny_rows
from tests.e2e.tinybase import base_files
from tests.e2e.whole import missing

BROKEN = pytest.StashKey[dict[str, list[str]]]()
"""Failed test -> what of the cluster did not work right after it."""
ENDPOINT = f"http://minio.{install.STORE_NAMESPACE}.svc.cluster.local:9000"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MODELYARD_ORDER_SEED shuffles modules, and tests in them where the module does not ask for its own order."""
    seed = os.environ.get("MODELYARD_ORDER_SEED")
    if seed is None:
        return
    chance = random.Random(seed)
    modules = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
    for module in modules:
        if not getattr(getattr(module[0], "module", None), "IN_ORDER", False):
            chance.shuffle(module)
    chance.shuffle(modules)
    items[:] = [item for module in modules for item in module]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The embedded cluster with MinIO, tiny base and data, and the chart, for the tests alone."""
    cluster = embedded_cluster()
    with alone_on(cluster):
        _install(cluster)
        yield cluster


def _install(cluster: Cluster) -> None:
    images = image_references(cluster)
    install.install_store(cluster, images["minio"])
    install.make_buckets_and_users(cluster)
    with install.store_client(cluster) as (client, _):
        for name, content in base_files().items():
            install.put(client, "base", f"tiny/{name}", content)
        install.put(client, "data", "tiny/rows.jsonl", tiny_rows())
    install.install_chart(cluster, images, ENDPOINT)
    # Made anew: one of an earlier installation keeps what was its default.
    cluster.kube("delete", "trainingprofile", "default", STUB_PROFILE, "--ignore-not-found")
    specs = {"default": {}, STUB_PROFILE: {"trainer": {"image": image("stubtrainer")}}}
    made = {"apiVersion": API, "kind": "TrainingProfile"}
    cluster.apply([{**made, "metadata": {"name": name}, "spec": spec} for name, spec in specs.items()])


@pytest.fixture(scope="module")
def harness(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[ClusterHarness]:
    """A namespace with the two Secrets; deleted afterwards with everything in it."""
    module = re.sub(r"[^a-z0-9]+", "-", request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_"))
    namespace = f"e2e-{module[:20]}-{uuid.uuid4().hex[:5]}"
    install.prepare_namespace(cluster, namespace)
    yield ClusterHarness(cluster, namespace)
    cluster.kube("delete", "namespace", namespace, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failure looks at once whether the cluster under it is whole."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        item.config.stash.setdefault(BROKEN, {})[item.nodeid] = missing(running_embedded_cluster())
    return report  # type: ignore[return-value]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Which failures were the product's (or the test's), and which the cluster's."""
    for test, broken in config.stash.get(BROKEN, {}).items():
        whose = (
            f"the cluster's: {', '.join(broken)}" if broken else "the product's or the test's: the cluster was whole"
        )
        terminalreporter.write_line(f"{test}: {whose}")
