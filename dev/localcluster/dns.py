"""The cluster's DNS server as objects, and a question to it."""

import json
import secrets
import socket
from collections.abc import Mapping

from dev.localcluster.layout import DNS_SERVICE_ADDRESS

_COREFILE = """\
.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa {
        pods insecure
        ttl 5
    }
    cache 5
}
"""
_LABELS = {"k8s-app": "kube-dns"}
_NAME = {"name": "coredns", "namespace": "kube-system"}


def manifests(image: str) -> str:
    """All objects of the DNS server, for kubectl apply."""
    reading = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "local:coredns"}
    items = [
        _object("v1", "ServiceAccount", _NAME),
        _object("rbac.authorization.k8s.io/v1", "ClusterRole", {"name": "local:coredns"}, rules=reading),
        _object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            {"name": "local:coredns"},
            roleRef=role,
            subjects=[{"kind": "ServiceAccount", **_NAME}],
        ),
        _object("v1", "ConfigMap", _NAME, data={"Corefile": _COREFILE}),
        _object("apps/v1", "Deployment", {**_NAME, "labels": _LABELS}, spec=_deployment(image)),
        _object("v1", "Service", {"name": "kube-dns", "namespace": "kube-system"}, spec=_service()),
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def resolves(name: str, server: str = DNS_SERVICE_ADDRESS) -> bool:
    """Whether the server knows an address for a name, asked as a pod would ask."""
    number = secrets.token_bytes(2)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.strip(".").split("."))
    question = number + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.sendto(question, (server, 53))
            answer = client.recv(512)
        except OSError:
            return False
    return answer[:2] == number and answer[3] & 0x0F == 0 and int.from_bytes(answer[6:8]) > 0


def _object(version: str, kind: str, metadata: Mapping[str, object], **rest: object) -> dict[str, object]:
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _deployment(image: str) -> dict[str, object]:
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "tolerations": [{"operator": "Exists"}],
        "containers": [_container(image)],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    template = {"metadata": {"labels": _LABELS}, "spec": pod}
    return {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": template}


def _container(image: str) -> dict[str, object]:
    return {
        "name": "coredns",
        "image": image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"containerPort": 53, "protocol": protocol} for protocol in ("UDP", "TCP")],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 10},
        "resources": {"requests": {"cpu": "10m", "memory": "30Mi"}, "limits": {"memory": "170Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }


def _service() -> dict[str, object]:
    ports = [{"name": f"dns-{kind.lower()}", "port": 53, "protocol": kind} for kind in ("UDP", "TCP")]
    return {"clusterIP": DNS_SERVICE_ADDRESS, "selector": _LABELS, "ports": ports}
