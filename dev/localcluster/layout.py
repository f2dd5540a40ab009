"""Where things are: the folders, addresses and ports of the local cluster."""

import os
from pathlib import Path

NODE_NAME = "local"
NODE_BRIDGE = "kube0"
POD_BRIDGE = "kube-pods"
NODE_ADDRESS = "10.250.0.1"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_SERVICE_ADDRESS = "10.96.0.10"
POD_RANGE = "10.244.0.0/16"

API_PORT = 6443
ETCD_PORT = 23790
ETCD_PEER_PORT = 23800
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259
KUBELET_HEALTH_PORT = 10248
KUBELET_PORT = 10250
PROXY_HEALTH_PORT = 10256
PROXY_METRICS_PORT = 10249
REGISTRY_PORT = 5000
REGISTRY = f"localhost:{REGISTRY_PORT}"

API_URL = f"https://{NODE_ADDRESS}:{API_PORT}"
ETCD_IN_MEMORY = Path("/dev/shm/modelyard-local-etcd")
PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent.parent


def cache_folder() -> Path:
    """The folder of binaries and images, shared by all clones."""
    chosen = os.environ.get("MODELYARD_CACHE")
    if chosen:
        return Path(chosen).resolve()
    general = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(general).resolve() / "modelyard"


def state_folder() -> Path:
    """The folder of the one running cluster of this machine."""
    return Path(os.environ.get("MODELYARD_STATE") or "/var/lib/modelyard-local").resolve()


def state(*parts: str) -> Path:
    """A path inside the state folder."""
    return state_folder().joinpath(*parts)


def cache(*parts: str) -> Path:
    """A path inside the cache folder."""
    return cache_folder().joinpath(*parts)


def containerd_socket() -> Path:
    """The socket of the cluster's own containerd."""
    return state("run", "containerd.sock")


def admin_kubeconfig() -> Path:
    """The kubeconfig for people and tests."""
    return state("kubeconfig", "admin.conf")
