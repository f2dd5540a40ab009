"""The cluster's life: up, down, status, and single components for fault tests."""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.localcluster import components, controlplane, disk, dns, images, leftovers, network, node, tools
from dev.localcluster.debian import ensure_packages, require_root
from dev.localcluster.layout import ETCD_IN_MEMORY, NODE_NAME, admin_kubeconfig, cache_folder, state, state_folder
from dev.localcluster.locks import exclusive
from dev.localcluster.processes import Daemon
from dev.localcluster.progress import note, step
from dev.localcluster.shell import CommandFailedError, run
from dev.localcluster.waiting import wait_until

NODE_SECONDS = 120.0
STAND_IN = "kserve-standin"
"""Process that plays KServe's controller, see kserve_standin."""
_LOCK = Path("/run/modelyard-local.lock")
_KEPT_BY_DOWN = ("etcd", "pki", "kubeconfig", "containerd", "kubelet", "logs")


def prepare() -> None:
    """Everything that needs time or the network: packages, commands, images."""
    require_root("the local cluster")
    disk.check_free()
    ensure_packages()
    tools.ensure()
    with exclusive(_LOCK):
        for name in images.OWN:
            images.image(name)


def up(in_memory: bool = False) -> Path:
    """Bring up what is not up, repair what is broken, and return the admin's kubeconfig."""
    prepare()
    with _only_cluster():
        _LOCK.write_text(str(state_folder()))
        if in_memory and not state("etcd").exists():
            ETCD_IN_MEMORY.mkdir(mode=0o700, exist_ok=True)
        controlplane.ensure_credentials()
        _clean_after_hard_stop()
        network.ensure_network()
        node.write_configuration(images.image("pause"))
        with step("start all components"):
            for component in components.ALL:
                component.ensure()
        _ensure_dns()
    disk.report()
    return admin_kubeconfig()


def down(keep_data: bool = False) -> None:
    """Stop all that `up` started and take its traces off the machine; the cache stays."""
    require_root("stopping the local cluster")
    with _only_cluster(), step("stop the cluster"):
        Daemon(STAND_IN).stop(2.0)
        for component in reversed(components.ALL):
            if component.stop():
                note(f"stopped {component.name}")
        leftovers.remove_node_leftovers()
        network.remove_network()
        _remove_state(keep_data)


def clean_all() -> None:
    """Stop the cluster and give back all its space, the cache too."""
    down()
    with step("remove the cache"):
        leftovers.unmount_below(cache_folder())
        for folder in (cache_folder(), state_folder(), Path("/run/modelyard-buildah")):
            shutil.rmtree(folder, ignore_errors=True)
        _LOCK.unlink(missing_ok=True)


def status() -> dict[str, str]:
    """The state of each component, the node and DNS."""
    found = {component.name: component.state() for component in components.ALL}
    api = found["kube-apiserver"] == "ready"
    found["node"] = "ready" if api and _node_ready() else "not ready"
    found["dns"] = "ready" if _dns_answers() else "not ready"
    return found


def stop_component(name: str, hard: bool = False) -> None:
    """Take one component away; hard as in a crash."""
    with exclusive(_LOCK):
        component = components.BY_NAME[name]
        component.daemon.stop(component.grace, signal.SIGKILL if hard else signal.SIGTERM)


def start_component(name: str) -> None:
    """Bring one component back."""
    with exclusive(_LOCK):
        components.BY_NAME[name].ensure()


def kubectl(*words: str, stdin: str | None = None) -> str:
    """Run kubectl as the admin."""
    return run([tools.binary("kubectl"), "--kubeconfig", admin_kubeconfig(), *words], stdin=stdin)


@contextmanager
def _only_cluster() -> Iterator[None]:
    """Hold the machine: bridges, rules and ports exist once, so a second state folder would break the first."""
    with exclusive(_LOCK):
        owner = Path(_LOCK.read_text() or state_folder())
        if owner != state_folder() and (owner / "run").exists():
            raise RuntimeError(f"the cluster of {owner} is up; stop it first with MODELYARD_STATE={owner}")
        yield


def _clean_after_hard_stop() -> None:
    """With no runtime and no container left, the node starts as after a boot."""
    runtime = components.BY_NAME["containerd"].daemon.identity()
    if not runtime and not leftovers.shims():
        components.BY_NAME["kubelet"].stop()
        leftovers.remove_node_leftovers()


def _ensure_dns() -> None:
    image = images.image("coredns")
    with step("wait until the node is ready and DNS answers"):
        wait_until(_node_ready, "the node", NODE_SECONDS)
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=dns.manifests(image))
        wait_until(_dns_answers, "DNS", NODE_SECONDS)


def _dns_answers() -> bool:
    return dns.resolves("kubernetes.default.svc.cluster.local")


def _node_ready() -> bool:
    try:
        node_status = json.loads(kubectl("get", "node", NODE_NAME, "-o", "json"))["status"]
    except CommandFailedError:
        return False
    conditions = {item["type"]: item["status"] for item in node_status.get("conditions", [])}
    return conditions.get("Ready") == "True"


def _remove_state(keep_data: bool) -> None:
    if not keep_data:
        shutil.rmtree(ETCD_IN_MEMORY, ignore_errors=True)
    kept = {"logs"} | (set(_KEPT_BY_DOWN) if keep_data else set())
    for folder in state_folder().glob("*"):
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)
