"""Start and stop the stand-in beside the embedded cluster."""

import json
import sys

from dev.localcluster.cluster import STAND_IN, kubectl
from dev.localcluster.kserve_standin import MARK
from dev.localcluster.kserve_standin.crds import definitions
from dev.localcluster.layout import REPOSITORY, admin_kubeconfig
from dev.localcluster.processes import Daemon

NAMES = [definition["metadata"]["name"] for definition in definitions()]


def start() -> None:
    """CRDs and controller; refused where the CRDs are those of a real KServe."""
    for name in NAMES:
        found = kubectl("get", "crd", name, "--ignore-not-found", "-o", "json")
        if found.strip() and MARK not in json.loads(found)["metadata"].get("annotations", {}):
            raise RuntimeError(f"the CRD {name} is not the stand-in's: a real KServe is installed here")
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": definitions()}))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in NAMES))
    if not _daemon().identity():
        script = f"import runpy, sys; sys.path.insert(0, {str(REPOSITORY)!r}); "
        script += "runpy.run_module('dev.localcluster.kserve_standin.controller', run_name='__main__')"
        _daemon().start([sys.executable, "-c", script, admin_kubeconfig()])


def stop() -> None:
    """The controller ends, the CRDs go and with them everything of their kinds."""
    kubectl("delete", "crd", *NAMES, "--ignore-not-found", "--timeout=60s")
    _daemon().stop(grace=2.0)


def _daemon() -> Daemon:
    return Daemon(STAND_IN)
