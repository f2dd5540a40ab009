"""The command lines of etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

from pathlib import Path

from dev.localcluster import layout
from dev.localcluster.layout import NODE_ADDRESS, NODE_NAME, state
from dev.localcluster.pki import Authority, Subject
from dev.localcluster.tools import binary

ETCD_URL = f"http://127.0.0.1:{layout.ETCD_PORT}"
_MASTERS = ("system:masters",)
USERS = {
    "admin": Subject("admin", _MASTERS),
    "kube-controller-manager": Subject("system:kube-controller-manager"),
    "kube-scheduler": Subject("system:kube-scheduler"),
    "kube-proxy": Subject("system:kube-proxy"),
    "kubelet": Subject(f"system:node:{NODE_NAME}", ("system:nodes",)),
}
_API_NAMES = (
    f"IP:{NODE_ADDRESS}",
    f"IP:{layout.API_SERVICE_ADDRESS}",
    "IP:127.0.0.1",
    "DNS:localhost",
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
)
SERVERS = {
    "kube-apiserver": Subject("kube-apiserver", names=_API_NAMES),
    "kubelet-server": Subject(f"system:node:{NODE_NAME}", names=(f"IP:{NODE_ADDRESS}", f"DNS:{NODE_NAME}")),
    "kubelet-client": Subject("kube-apiserver-kubelet-client", _MASTERS),
}


def authority() -> Authority:
    """The cluster's certificate authority."""
    return Authority(state("pki"))


def ensure_credentials() -> None:
    """Make all certificates and kubeconfigs that are not there."""
    ours = authority()
    ours.ensure()
    for name, subject in SERVERS.items():
        ours.issue(name, subject)
    for name, subject in USERS.items():
        ours.kubeconfig(kubeconfig(name), layout.API_URL, subject)


def kubeconfig(user: str) -> Path:
    """The kubeconfig of a component."""
    return layout.admin_kubeconfig().with_name(f"{user}.conf")


def etcd_command() -> list[str]:
    """The store of the API; in memory if its folder there exists."""
    folder = layout.ETCD_IN_MEMORY if layout.ETCD_IN_MEMORY.exists() else state("etcd")
    peer = f"http://127.0.0.1:{layout.ETCD_PEER_PORT}"
    return [
        "/usr/bin/etcd",
        f"--name={NODE_NAME}",
        f"--data-dir={folder}",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={NODE_NAME}={peer}",
    ]


def apiserver_command() -> list[str]:
    """The API, reachable on the node's bridge only."""
    return [
        str(binary("kube-apiserver")),
        f"--etcd-servers={ETCD_URL}",
        f"--bind-address={NODE_ADDRESS}",
        f"--advertise-address={NODE_ADDRESS}",
        f"--secure-port={layout.API_PORT}",
        f"--tls-cert-file={_pki('kube-apiserver.crt')}",
        f"--tls-private-key-file={_pki('kube-apiserver.key')}",
        f"--client-ca-file={_pki('ca.crt')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={_pki('ca.crt')}",
        f"--kubelet-client-certificate={_pki('kubelet-client.crt')}",
        f"--kubelet-client-key={_pki('kubelet-client.key')}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={_pki('service-account.pub')}",
        f"--service-account-signing-key-file={_pki('service-account.key')}",
        f"--service-cluster-ip-range={layout.SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
    ]


def controller_manager_command() -> list[str]:
    """The controllers of the built-in kinds."""
    return [
        *_elected_component("kube-controller-manager", layout.CONTROLLER_MANAGER_PORT),
        f"--root-ca-file={_pki('ca.crt')}",
        f"--service-account-private-key-file={_pki('service-account.key')}",
        f"--cluster-signing-cert-file={_pki('ca.crt')}",
        f"--cluster-signing-key-file={_pki('ca.key')}",
        f"--service-cluster-ip-range={layout.SERVICE_RANGE}",
        "--use-service-account-credentials=true",
    ]


def scheduler_command() -> list[str]:
    """The scheduler."""
    return _elected_component("kube-scheduler", layout.SCHEDULER_PORT)


def _elected_component(name: str, port: int) -> list[str]:
    """What both have in common; the only one of its kind needs no election."""
    user = kubeconfig(name)
    return [
        str(binary(name)),
        f"--kubeconfig={user}",
        f"--authentication-kubeconfig={user}",
        f"--authorization-kubeconfig={user}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={state('run', name)}",
        "--leader-elect=false",
    ]


def _pki(name: str) -> Path:
    return state("pki", name)
