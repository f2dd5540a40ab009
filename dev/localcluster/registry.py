"""The local image registry; its storage is in the cache folder, so images survive the cluster."""

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from dev.localcluster.layout import REGISTRY, REGISTRY_PORT, cache, state
from dev.localcluster.locks import exclusive
from dev.localcluster.processes import Daemon
from dev.localcluster.progress import note, step
from dev.localcluster.shell import run_logged
from dev.localcluster.waiting import answers, wait_until

NAME = "docker-registry"
HEALTH_URL = f"http://127.0.0.1:{REGISTRY_PORT}/v2/"
MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def configuration() -> Path:
    """Write the registry's configuration (JSON is YAML)."""
    file = state("config", "registry.json")
    content = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(cache("registry"))}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{REGISTRY_PORT}"},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def command() -> list[str]:
    """The command line of the registry."""
    return ["/usr/bin/docker-registry", "serve", str(configuration())]


def ensure_registry() -> None:
    """Start the registry if it does not run."""
    daemon = Daemon(NAME)
    with exclusive(cache("registry.lock")):
        if daemon.runs(command()) and answers(HEALTH_URL):
            return
        daemon.stop(grace=2)
        daemon.start(command())
        wait_until(lambda: answers(HEALTH_URL), "the local registry", 20)


def has(reference: str) -> bool:
    """Whether the registry holds localhost:5000/name:tag."""
    name, _, tag = reference.removeprefix(f"{REGISTRY}/").rpartition(":")
    request = urllib.request.Request(f"{HEALTH_URL}{name}/manifests/{tag}", method="HEAD")
    request.add_header("Accept", MANIFEST_TYPES)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5):
            return True
    except urllib.error.HTTPError:
        return False


def forget_old_tags(keep: int) -> None:
    """Keep the newest tags of each image and give back the space of all others."""
    images = cache("registry").glob("docker/registry/v2/**/_manifests/tags")
    old = [tag for tags in images for tag in _older(tags, keep)]
    if not old:
        return
    title = f"remove {len(old)} old image tags from the registry"
    with step(title), exclusive(cache("registry.lock")):
        for tag in old:
            note(f"  {tag.parents[2].name}:{tag.name}")
            shutil.rmtree(tag)
        # A push during garbage collection would lose layers, so nobody may push meanwhile.
        Daemon(NAME).stop(grace=5)
        collect = ["/usr/bin/docker-registry", "garbage-collect", "--delete-untagged", str(configuration())]
        run_logged(collect, cache("logs", "registry-garbage-collect.log"))
        ensure_registry()


def _older(tags: Path, keep: int) -> list[Path]:
    newest_first = sorted(tags.iterdir(), key=lambda tag: (tag / "current" / "link").stat().st_mtime, reverse=True)
    return newest_first[keep:]
