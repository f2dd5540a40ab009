"""What a stopped node leaves behind: container processes, mounts, control groups, log links."""

import os
import shutil
import signal
from pathlib import Path

from dev.localcluster.layout import containerd_socket, state, state_folder
from dev.localcluster.processes import Identity, descendants, end_all, with_argument
from dev.localcluster.shell import attempt

_LOG_LINKS = Path("/var/log/containers")


def shims() -> list[Identity]:
    """The containers' parents; each carries the path of our containerd socket."""
    return with_argument(str(containerd_socket()))


def stop_containers() -> None:
    """Kill all processes in our containers, then the shims above them."""
    parents = shims()
    below = descendants(parents)
    for process in below:
        process.send(signal.SIGKILL)
    end_all(below, grace=5)
    end_all(parents, grace=0)


def remove_node_leftovers() -> None:
    """Bring the node to the state after a boot: no containers, no mounts, no sockets, no addresses in use."""
    stop_containers()
    unmount_below(state_folder())
    for folder in ("containerd", "runc", "cni"):
        shutil.rmtree(state("run", folder), ignore_errors=True)
    for socket in state("run").glob("*.sock*"):
        socket.unlink()
    _remove_log_links()
    _remove_control_groups()


def unmount_below(folder: Path) -> None:
    """Unmount everything inside a folder, the innermost first."""
    prefix = f"{folder}/"
    for point in sorted(_mount_points(), key=len, reverse=True):
        if point.startswith(prefix) and not attempt(["umount", point]):
            attempt(["umount", "--lazy", point])


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].replace("\\040", " ") for line in lines]


def _remove_log_links() -> None:
    for link in _LOG_LINKS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{state_folder()}/"):
            link.unlink()


def _remove_control_groups() -> None:
    root = Path("/sys/fs/cgroup")
    for top in [*root.glob("kubepods"), *root.glob("*/kubepods")]:
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                continue
