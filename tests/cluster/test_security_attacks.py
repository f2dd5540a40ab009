"""Attacks of tenant A on tenant B succeed 0 times; docs/security.md has the same list, SECURITY.md the count."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import MinioAdmin
from minio.credentials import StaticProvider

from dev.localcluster.children import free_port
from dev.localcluster.minio import MinioServer
from dev.localcluster.waiting import wait_until
from modelyard import names
from modelyard.storage.store import Store
from tests.cluster import attacks_on_the_api, attacks_on_the_run, weight
from tests.cluster.attacks import ATTACKS, JOB, REFUSALS, REFUSING, A, Attack, B, Site
from tests.cluster.harness import BUCKET, OperatorHarness, fill_base, prepare, succeed
from tests.cluster.installed import chart_installed
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import operator_process

LISTED_IN_ORDER = (attacks_on_the_api, attacks_on_the_run)
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security.md"
ROW = re.compile(r"^\| (\d+) \| (.*) \| (.*) \|$", re.MULTILINE)
pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("attacks"), free_port()
    with MinioServer() as minio, chart_installed(controller_manager=True) as installed:
        admin = MinioAdmin(
            endpoint=minio.endpoint, credentials=StaticProvider(minio.access_key, minio.secret_key), secure=False
        )
        admin.user_add(access_key="operator", secret_key="operator-secret")
        admin.policy_set(policy_name="readwrite", user="operator")
        store = Store.connect(minio.url, minio.access_key, minio.secret_key)
        fill_base(store, A, B)
        settings = {
            "MODELYARD_STORE_ENDPOINT": minio.url,
            "AWS_ACCESS_KEY_ID": "operator",
            "AWS_SECRET_ACCESS_KEY": "operator-secret",
            "MODELYARD_ENDPOINT_PORT": str(port),
        }
        alice = installed.tenant("alice", A)
        mallory = installed.tenant("mallory", A, "cluster-admin")
        installed.tenant("bob", B)
        with operator_process(installed.operator.kubeconfig, "ops", folder / "log", settings) as operator:
            wait_until(operator.ready, "operator", 180)
            a, b = (OperatorHarness(installed, operator, port, store, folder, namespace) for namespace in (A, B))
            site = Site(a, b, alice, mallory, minio.endpoint)
            both_at_work(site)
            yield site


def both_at_work(site: Site) -> None:
    """B has a version and a run under way; A has a run of the same name as B's, and the keys that its pod gets."""
    site.b.kube("create", "secret", "generic", "theirs", "--from-literal=a=b")
    gold = smallest("TrainingProfile", name="gold", namespaces={"matchLabels": {"tier": "gold"}})
    site.a.create(gold)
    site.a.create(smallest("ServingProfile", name="gold-servers", namespaces={"matchLabels": {"tier": "gold"}}))
    site.b.kube("label", "namespace", B, "tier=gold")
    for harness in (site.a, site.b):
        prepare(harness)
        harness.create(smallest("FineTuneJob", dataset={"ref": "rows"}))
    succeed(site.b, JOB, 1)
    site.b.create(smallest("FineTuneJob", name="live", dataset={"ref": "rows"}, train={"seed": 8}))
    site.version = site.b.get("mv", "reviews-1")
    for harness, owner in ((site.a, JOB), (site.b, "live")):
        harness.until("its Job", lambda harness=harness, owner=owner: bool(harness.children("job", owner)))  # type: ignore[misc]
        job = site.job(harness, owner)
        harness.until("its pod", lambda harness=harness, job=job: job in str(harness.listed("pod")))  # type: ignore[misc]
    site.a.until("keys for A's own run", lambda: has_keys(site))


def has_keys(site: Site) -> bool:
    """What A may do: or the refusals below would prove nothing."""
    job = site.job(site.a, JOB)
    token = site.token(site.a, site.pod(site.a, job), job, names.CREDENTIALS)
    status, site.keys = site.ask(token, A, job, names.CREDENTIALS)
    return status == 200


def test_what_a_may_do_works(site: Site) -> None:
    """A's keys open A's run, A's token posts A's progress, alice creates her own objects."""
    run = site.a.get("ftj", JOB)["status"]["run"]["id"]
    own = f"ns/{A}/models/{JOB}/runs/{run}/"
    site.s3().put_object(BUCKET, f"{own}mine", io.BytesIO(b"x"), 1)
    assert site.s3().get_object(BUCKET, f"{own}mine").read() == b"x"
    assert site.raw_get(f"/{BUCKET}/{own}mine") == (200, b"x")
    job = site.job(site.a, JOB)
    token = site.token(site.a, site.pod(site.a, job), job, names.PROGRESS)
    assert site.ask(token, A, job, names.PROGRESS)[0] == 200
    site.alice.create(smallest("FineTuneJob", name="hers"), "-n", A, "--dry-run=server")


MARKS = {attacks_on_the_api.BEARS_LABELS: [pytest.mark.full]}
"""It takes a minute."""


@pytest.mark.parametrize("attack", [pytest.param(one, marks=MARKS.get(one.what, []), id=one.what) for one in ATTACKS])
def test_refused(site: Site, attack: Attack) -> None:
    REFUSALS.clear()
    attack.run(site)
    if attack.by in REFUSING:
        assert REFUSING[attack.by] in REFUSALS, "no real server said no"


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("flood", ["data", "annotations", "others"])
def test_600_heavy_objects(site: Site, flood: str) -> None:
    print(flood, attacks_on_the_api.costs_little(site, flood, weight.ALL))


def test_the_page_lists_them() -> None:
    listed = [(int(number), what, by) for number, what, by in ROW.findall(PAGE.read_text())]
    assert listed == [(number, attack.what, attack.by) for number, attack in enumerate(ATTACKS, 1)]


@pytest.mark.parametrize("page", [PAGE, ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_the_pages_count_what_a_real_server_refused_because_of_us(page: Path) -> None:
    (told,) = re.findall(r"(\d+)\s+ways\s+that\s+a\s+real", page.read_text())
    assert int(told) == sum(attack.counts for attack in ATTACKS)
