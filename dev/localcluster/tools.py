"""The commands built from pinned Go modules: Kubernetes, MinIO, CoreDNS and Helm."""

import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dev.localcluster.artifacts import artifact, content_key, link_newest, published
from dev.localcluster.gotoolchain import ensure_go, go_environment, version, workshop
from dev.localcluster.layout import PACKAGE, cache
from dev.localcluster.locks import exclusive
from dev.localcluster.progress import step
from dev.localcluster.shell import run_logged

KUBERNETES_VERSION = "v1.34.4"
HELM_VERSION = "v3.22.0"
_VERSION_PACKAGE = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Tool:
    """One Go module of ours and the commands that are built from it in one go."""

    name: str
    packages: tuple[str, ...]
    commands: tuple[str, ...]
    variables: tuple[str, ...] = ()

    @property
    def module(self) -> Path:
        """The folder of go.mod and go.sum."""
        return PACKAGE / "tools" / self.name

    @property
    def linker_flags(self) -> str:
        """No symbols, no debug data, and the version that the command reports."""
        return " ".join(["-s", "-w", *(f"-X {variable}" for variable in self.variables)])

    def folder(self) -> Path:
        """Where the built commands lie, keyed by everything that goes into them."""
        files = sorted(path for path in self.module.iterdir() if path.suffix in {".mod", ".sum", ".go"})
        parts: list[bytes | str] = [part for path in files for part in (path.name, path.read_bytes())]
        flags = [version(), self.linker_flags, *self.packages, platform.machine()]
        return artifact(self.name, content_key([*parts, *flags]))


_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
TOOLS = (
    Tool(
        name="kubernetes",
        packages=tuple(f"k8s.io/kubernetes/cmd/{command}" for command in _KUBERNETES),
        commands=_KUBERNETES,
        variables=(
            f"{_VERSION_PACKAGE}.gitVersion={KUBERNETES_VERSION}",
            f"{_VERSION_PACKAGE}.gitMajor=1",
            f"{_VERSION_PACKAGE}.gitMinor=34",
        ),
    ),
    Tool("minio", ("github.com/minio/minio",), ("minio",)),
    Tool(
        name="helm",
        packages=("helm.sh/helm/v3/cmd/helm",),
        commands=("helm",),
        variables=(f"helm.sh/helm/v3/internal/version.version={HELM_VERSION}",),
    ),
    Tool("coredns", (".",), ("coredns",)),
)
BENCH_TOOLS = (Tool("s5cmd", ("github.com/peak/s5cmd/v2",), ("s5cmd",)),)
"""Built only by benchmarks, to compare with."""


def binary(command: str) -> Path:
    """The path of a command; it is built first if the cache lacks it (minutes)."""
    tool = _tool_of(command)
    ensure([tool])
    return tool.folder() / command


def is_built(command: str) -> bool:
    """True when the cache has a command."""
    return _tool_of(command).folder().is_dir()


def _tool_of(command: str) -> Tool:
    return next(tool for tool in (*TOOLS, *BENCH_TOOLS) if command in tool.commands)


def ensure(tools: Iterable[Tool] = TOOLS) -> None:
    """Build what the cache lacks, then give back the space that only building needs."""
    wanted = tuple(tools)
    if all(tool.folder().is_dir() for tool in wanted):
        return
    with exclusive(cache("tools.lock")):
        for tool in wanted:
            if not tool.folder().is_dir():
                _build(tool)
        shutil.rmtree(workshop(), ignore_errors=True)


def _build(tool: Tool) -> None:
    commands = ensure_go()
    with step(f"build {tool.name} from its Go module"), published(tool.folder()) as scratch:
        flags = ["-trimpath", "-ldflags", tool.linker_flags, "-o", f"{scratch}/"]
        log = cache("logs", f"build-{tool.name}.log")
        build = [str(commands / "go"), "build", *flags, *tool.packages]
        run_logged(build, log, environment=go_environment(commands), folder=tool.module)
    for command in tool.commands:
        link_newest(tool.folder(), command)
