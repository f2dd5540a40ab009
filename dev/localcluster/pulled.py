"""Images that containerd has unpacked: what no container uses can go and be pulled again."""

from collections import defaultdict

from dev.localcluster.components import BY_NAME, ctr
from dev.localcluster.progress import step
from dev.localcluster.shell import run


def remove_unused() -> None:
    """Give back the space of unpacked images without a container."""
    if not BY_NAME["containerd"].daemon.identity():
        return
    names = _names_by_digest()
    used = _used_names()
    unused = [name for known in names.values() if not known & used for name in known]
    if unused:
        with step("remove unpacked images that no container uses"):
            run([*ctr(), "images", "remove", "--sync", *unused])


def _names_by_digest() -> dict[str, set[str]]:
    """Each image has several names; only with the last one its space is free."""
    names: dict[str, set[str]] = defaultdict(set)
    for line in run([*ctr(), "images", "list"]).splitlines()[1:]:
        name, _, digest = line.split()[:3]
        names[digest].add(name)
    return names


def _used_names() -> set[str]:
    lines = run([*ctr(), "containers", "list"]).splitlines()[1:]
    return {line.split()[1] for line in lines}
