"""Disk space: what is ours, what is free, and a check before anything large begins."""

import shutil
import subprocess
from pathlib import Path

from dev.localcluster.layout import cache, cache_folder, state, state_folder
from dev.localcluster.progress import note

BUDGET = 20 * 10**9


def used(folder: Path) -> int:
    """Bytes of a folder without what is mounted in it; running builds may change it meanwhile."""
    if not folder.exists():
        return 0
    answer = subprocess.run(["du", "-sxk", str(folder)], capture_output=True, text=True, check=False)
    return int(answer.stdout.split()[0]) * 1024 if answer.stdout else 0


def total_used() -> int:
    """Bytes of everything that the local cluster keeps."""
    return used(cache_folder()) + used(state_folder())


def check_free() -> None:
    """Fail with what is needed if the rest of the budget does not fit on the disk."""
    ours = total_used()
    for folder in {_existing(cache_folder()), _existing(state_folder())}:
        free = shutil.disk_usage(folder).free
        if free < BUDGET - ours:
            raise RuntimeError(
                f"the local cluster needs {BUDGET / 1e9:.0f} GB in all and has {ours / 1e9:.1f} GB; "
                f"{folder} has only {free / 1e9:.1f} GB free, {(BUDGET - ours) / 1e9:.1f} GB are needed"
            )


def report() -> None:
    """Print what the parts use."""
    parts = {
        "binaries and base": cache("artifacts"),
        "registry": cache("registry"),
        "build layers": cache("buildah"),
        "containers": state("containerd"),
    }
    sizes = {name: used(folder) for name, folder in parts.items()}
    text = ", ".join(f"{name} {size / 1e9:.1f} GB" for name, size in sizes.items())
    free = shutil.disk_usage(_existing(cache_folder())).free
    note(f"disk: {total_used() / 1e9:.1f} of {BUDGET / 1e9:.0f} GB ({text}); {free / 1e9:.0f} GB free")


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
