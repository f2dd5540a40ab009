"""The file system of the base image: a minimal Debian with Python, as a cached tarball."""

import platform
import shutil
import tempfile
from pathlib import Path

from dev.localcluster.artifacts import artifact, content_key, published
from dev.localcluster.debian import debian_mirror
from dev.localcluster.layout import cache
from dev.localcluster.progress import step
from dev.localcluster.shell import run, run_logged

RELEASE = "bookworm"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
_RECIPE_VERSION = "1"
_UNNEEDED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man", "usr/share/locale")
# Image builds mount the caller's settings over these, so they must be there and empty.
MOUNT_POINTS = ("etc/pip.conf", "etc/uv/uv.toml", "etc/apt/sources.list")


def base_key() -> str:
    """The key of the base image; a new recipe is a new base."""
    return content_key([RELEASE, *PACKAGES, *_UNNEEDED, *MOUNT_POINTS, _RECIPE_VERSION, platform.machine()])


def ensure_base_folder() -> Path:
    """The folder that holds base.tar, made if the cache lacks it."""
    target = artifact("base", base_key())
    if not target.is_dir():
        with step("make the base file system"), published(target) as scratch:
            _make(scratch / "base.tar")
    return target


def _make(tarball: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".debootstrap-", dir=cache("artifacts")) as name:
        root = Path(name)
        root.chmod(0o755)
        wanted = ["--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, str(root), debian_mirror()]
        run_logged(["debootstrap", *wanted], cache("logs", "debootstrap.log"))
        _tidy(root)
        run(["tar", "--numeric-owner", "--one-file-system", "-C", root, "-cf", tarball, "."])


def _tidy(root: Path) -> None:
    for folder in _UNNEEDED:
        shutil.rmtree(root / folder)
        (root / folder).mkdir(parents=True)
    for file in MOUNT_POINTS:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")
    for file in ("etc/resolv.conf", "etc/hostname"):
        (root / file).unlink(missing_ok=True)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
