"""Goes through the pages as a reader would: every command block, in order, in one namespace; the stub trains.

The reader's kubectl and helm know the embedded cluster; what the fixtures made already counts as made, and a `--watch`
ends after three seconds; anything else that is there already fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.localcluster.images import image
from examples.demo import install
from examples.demo.cluster import Cluster, image_references
from tests.docs import ROOT, WALK, blocks
from tests.e2e.conftest import ENDPOINT
from tests.e2e.harness import ClusterHarness
from tests.e2e.tinybase import base_files
from tests.trainer.words import json_lines, rows

NAMESPACE = "team-a"
IN_ORDER = True
MADE = (NAMESPACE, install.OPERATOR_NAMESPACE, "modelyard-operator-store", "modelyard-store-read")
"""What the fixtures made before the reader: the one thing that may be there already."""
KUBECTL = """#!/bin/bash
case " $* " in
  *" --watch "*|*" -w "*) timeout 3 {kubectl} "$@"; [ $? = 124 ];;
  *" create "*) told=$({kubectl} "$@" 2>&1) || grep -qE '"({made})" already' <<<"$told"
    code=$?; echo "$told"; exit $code;;
  *) exec {kubectl} "$@";;
esac
"""


@dataclass(frozen=True)
class Reader:
    """A shell in a folder like the checkout."""

    folder: Path
    environment: dict[str, str]

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a block as a script that ends at the first error."""
        words = ["bash", "-euo", "pipefail", "-c", text]
        return subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=500, check=False
        )


@pytest.fixture(scope="module")
def reader(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Namespace, keys, data and base model that the pages speak of; the default profile's image is the stub."""
    forget(cluster, NAMESPACE)
    cluster.kube("delete", "namespace", NAMESPACE, "argocd", "--ignore-not-found")
    cluster.kube("delete", "clusterrolebinding", "modelyard-profiles", "--ignore-not-found")
    install.prepare_namespace(cluster, NAMESPACE)
    patch_default_profile(cluster, image("stubtrainer"))
    labelled = [{"text": row["text"], "sentiment": row["label"]} for row in rows(900)]
    wanted = {("data", "sentiment/rows.jsonl"): json_lines(labelled)}
    wanted |= {("base", f"minilm/{name}"): content for name, content in base_files().items()}
    before = exchange(cluster, wanted)
    try:
        yield make_reader(cluster, tmp_path_factory.mktemp("reader"))
    finally:
        exchange(cluster, before)
        patch_default_profile(cluster, None)
        cluster.kube("delete", "namespace", NAMESPACE, "argocd", "--wait=false", "--ignore-not-found")
        cluster.kube("delete", "clusterrolebinding", "modelyard-profiles", "--ignore-not-found")


def make_reader(cluster: Cluster, folder: Path) -> Reader:
    """The folder with what the commands name, and the two commands."""
    for name in ("charts", "examples", "crds"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "values.yaml").write_text(json.dumps(values(cluster)))
    shutil.copy(cluster.kubeconfig, folder / "kubeconfig")
    commands = folder / "bin"
    commands.mkdir()
    helm = f'#!/bin/bash\nexec {cluster.helm} "$@"\n'
    for name, text in (("kubectl", KUBECTL.format(kubectl=cluster.kubectl, made="|".join(MADE))), ("helm", helm)):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    path = f"{commands}:{os.environ['PATH']}"
    return Reader(folder, {**os.environ, "PATH": path, "KUBECONFIG": str(folder / "kubeconfig")})


def values(cluster: Cluster) -> dict[str, object]:
    """What the reader's values.yaml says here."""
    images = {}
    for name, reference in image_references(cluster).items():
        repository, _, tag = reference.rpartition(":")
        images[name] = {"repository": repository, "tag": tag}
    images.pop("minio")
    store = {"endpoint": ENDPOINT, "bucket": install.BUCKET, "existingSecret": "modelyard-operator-store"}
    return {"store": store, "image": images}


def patch_default_profile(cluster: Cluster, trainer: str | None) -> None:
    """What a platform team does; None takes it back."""
    patch = json.dumps({"spec": {"trainer": {"image": trainer}}})
    cluster.kube("patch", "trainingprofile", "default", "--type=merge", "-p", patch)


def exchange(cluster: Cluster, wanted: dict[tuple[str, str], bytes]) -> dict[tuple[str, str], bytes]:
    """Put objects into the store; what lay there before, so that a demo finds its own again."""
    before = {}
    with install.store_client(cluster) as (client, _):
        for (bucket, key), content in wanted.items():
            if list(client.list_objects(bucket, prefix=key)):
                before[bucket, key] = client.get_object(bucket_name=bucket, object_name=key).read()
            install.put(client, bucket, key, content)
    return before


def forget(cluster: Cluster, namespace: str) -> None:
    """Nothing of an earlier walk is in the store: the pages name versions by their numbers."""
    with install.store_client(cluster) as (client, _):
        for found in client.list_objects(install.BUCKET, prefix=f"ns/{namespace}/", recursive=True):
            client.remove_object(install.BUCKET, str(found.object_name))


walked: list[str] = []


@pytest.mark.parametrize("page", WALK)
def test_every_command_of_the_page(reader: Reader, page: str) -> None:
    assert walked == list(WALK[: len(walked)]) and page == WALK[len(walked)], "a page before this one failed"
    for block in (block for block in blocks(page) if block.language == "sh" and not block.mark):
        done = reader.run(block.text)
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        assert done.returncode == 0, f"{block}: {last}\n{block.text}\n{done.stdout}\n{done.stderr}"
    walked.append(page)


def test_what_the_quickstart_made(cluster: Cluster, reader: Reader) -> None:
    """The walk was no empty one: what the pages made is in the store."""
    keys = ClusterHarness(cluster, NAMESPACE).stored_keys(f"ns/{NAMESPACE}/models/sentiment/numbers/")
    assert len(keys) >= 2
