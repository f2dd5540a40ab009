"""The configuration and command lines of containerd, kubelet and kube-proxy."""

import json

from dev.localcluster import layout
from dev.localcluster.controlplane import kubeconfig
from dev.localcluster.layout import NODE_ADDRESS, NODE_NAME, REGISTRY, containerd_socket, state
from dev.localcluster.network import traffic_on_bridge_is_translated
from dev.localcluster.tools import binary

_CONTAINERD = """\
version = 2
root = "{state}/containerd"
state = "{state}/run/containerd"
oom_score = 0

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/run/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{state}/config/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  discard_unpacked_layers = true

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{state}/run/runc"

[plugins."io.containerd.grpc.v1.cri".registry.mirrors."{registry}"]
  endpoint = ["http://{registry}"]
"""


def write_configuration(pause_image: str) -> None:
    """Write the files that the three read."""
    values = {"state": state(), "socket": containerd_socket(), "pause": pause_image, "registry": REGISTRY}
    _write_if_new("containerd.toml", _CONTAINERD.format(**values))
    _write_if_new("kubelet.json", json.dumps(_kubelet_configuration(), indent=1))
    _write_if_new("kube-proxy.json", json.dumps(_proxy_configuration(), indent=1))


def containerd_command() -> list[str]:
    """The container runtime, apart from any other containerd of the machine."""
    return ["/usr/bin/containerd", "--config", str(state("config", "containerd.toml"))]


def kubelet_command() -> list[str]:
    """The node's agent."""
    return [
        str(binary("kubelet")),
        f"--config={state('config', 'kubelet.json')}",
        f"--kubeconfig={kubeconfig('kubelet')}",
        f"--root-dir={state('kubelet')}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def proxy_command() -> list[str]:
    """The services' packet rules."""
    return [str(binary("kube-proxy")), f"--config={state('config', 'kube-proxy.json')}"]


def _write_if_new(name: str, text: str) -> None:
    """An unchanged file stays untouched: kube-proxy ends itself whenever its file is written."""
    file = state("config", name)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def _kubelet_configuration() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": layout.KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": layout.KUBELET_HEALTH_PORT,
        "containerRuntimeEndpoint": f"unix://{containerd_socket()}",
        "podLogsDir": str(state("pod-logs")),
        "clusterDNS": [layout.DNS_SERVICE_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "/dev/null",
        **_kubelet_credentials(),
        **_kubelet_limits(),
    }


def _kubelet_credentials() -> dict[str, object]:
    pki = state("pki")
    return {
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
    }


def _kubelet_limits() -> dict[str, object]:
    """A shared machine: no swap or cgroup checks, late eviction, no removal of images on its own."""
    return {
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "500Mi", "imagefs.available": "500Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": False,
        "maxPods": 200,
        "registryPullQPS": 0,
        "nodeStatusUpdateFrequency": "5s",
    }


def _proxy_configuration() -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig("kube-proxy"))},
        "hostnameOverride": NODE_NAME,
        "mode": "iptables",
        "clusterCIDR": layout.POD_RANGE,
        "healthzBindAddress": f"127.0.0.1:{layout.PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{layout.PROXY_METRICS_PORT}",
        "conntrack": {"maxPerCore": 0},
        "iptables": {"masqueradeAll": not traffic_on_bridge_is_translated(), "minSyncPeriod": "0s"},
        "nodePortAddresses": [f"{NODE_ADDRESS}/32"],
    }
