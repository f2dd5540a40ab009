"""The packages of the system that the cluster and the image builds need."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dev.localcluster.layout import cache
from dev.localcluster.locks import exclusive
from dev.localcluster.progress import step
from dev.localcluster.shell import run, run_logged

PACKAGES = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    "etcd-server",
    "iptables",
    "iproute2",
    "buildah",
    "debootstrap",
    "busybox-static",
    "docker-registry",
    "openssl",
    "ca-certificates",
    "python3-venv",
    "git",
)
PROMETHEUS = ("prometheus",)
"""Prometheus with promtool, for tests of metrics and alerts."""
_START_POLICY = Path("/usr/sbin/policy-rc.d")


def missing_packages(wanted: Sequence[str] = PACKAGES) -> list[str]:
    """The packages that are not there yet."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n", *wanted]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return [package for package in wanted if f"{package} installed" not in answer]


def ensure_packages(wanted: Sequence[str] = PACKAGES) -> None:
    """Install what is missing."""
    if not shutil.which("apt-get"):
        raise RuntimeError("the local cluster needs Debian: there is no apt-get here")
    packages = missing_packages(wanted)
    if not packages:
        return
    require_root("installing " + " ".join(packages))
    with exclusive(cache("packages.lock")), step("install " + " ".join(packages)), _no_services():
        log = cache("logs", "apt.log")
        run_logged(["apt-get", "update", "-q"], log)
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run_logged(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], log, quiet)


def require_root(purpose: str) -> None:
    """Fail early with a sentence instead of late with a permission error."""
    if os.geteuid() != 0:
        raise PermissionError(f"{purpose} needs root")


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep fresh packages from starting their services: only our own instances may run."""
    if _START_POLICY.exists():
        yield
        return
    _START_POLICY.write_text("#!/bin/sh\nexit 101\n")
    _START_POLICY.chmod(0o755)
    try:
        yield
    finally:
        _START_POLICY.unlink(missing_ok=True)


def debian_mirror() -> str:
    """The mirror that this machine itself gets Debian from."""
    wanted = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL) $(COMPONENT)", "Created-By: Packages"]
    for line in run(wanted).splitlines():
        address, _, rest = line.partition(" ")
        if rest == "Debian main":
            return address
    raise RuntimeError("no Debian mirror among the package sources of this machine")
