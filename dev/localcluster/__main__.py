"""The command line: python3 -m dev.localcluster COMMAND."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from dev.localcluster import cluster, disk, images, progress
from dev.localcluster.components import NAMES
from dev.localcluster.kserve_standin import command
from dev.localcluster.layout import REPOSITORY, admin_kubeconfig
from dev.localcluster.shell import CommandFailedError

Arguments = argparse.Namespace


def main() -> int:
    """Run one command; 1 if it fails, with a sentence instead of a traceback."""
    arguments = _parser().parse_args()
    try:
        return int(arguments.run(arguments) or 0)
    except (CommandFailedError, RuntimeError, OSError) as error:
        progress.note(f"failed: {error}")
        return 1
    finally:
        progress.summary()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m dev.localcluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[Arguments], int | None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("prepare", lambda _: cluster.prepare(), "install packages, build commands and the cluster's own images")
    up = add("up", _up, "bring the cluster up or repair it; print the path of its kubeconfig")
    up.add_argument("--in-memory", action="store_true", help="keep a new etcd in memory: faster, lost at a reboot")
    down = add("down", lambda given: cluster.down(given.keep_data), "stop the cluster and remove its traces")
    down.add_argument("--keep-data", action="store_true", help="keep objects and pulled images for the next up")
    add("status", _status, "print the state of each part; fail unless all are ready")
    add("kubeconfig", _kubeconfig, "print the path of the admin's kubeconfig")
    _add_image(add("image", _image, "build and push an image unless it is there; print its reference"))
    stop = add("stop-component", _stop, "take one component away, for fault tests")
    stop.add_argument("name", choices=NAMES)
    stop.add_argument("--hard", action="store_true", help="kill it, as in a crash")
    start = add("start-component", lambda given: cluster.start_component(given.name), "bring one component back")
    start.add_argument("name", choices=NAMES)
    standin = add("kserve-standin", _standin, "start or stop our stand-in for KServe: minimal CRDs, a small controller")
    standin.add_argument("what", choices=("start", "stop"))
    add("clean-all", lambda _: cluster.clean_all(), "stop the cluster and remove its state and the cache")
    return parser


def _add_image(command: argparse.ArgumentParser) -> None:
    known = ", ".join(images.KNOWN)
    command.add_argument("name", help=f"one of {known}; with --dockerfile any other name")
    command.add_argument("--dockerfile", type=Path)
    command.add_argument("--context", type=Path, default=REPOSITORY)
    command.add_argument("--target")
    command.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")


def _up(given: Arguments) -> None:
    print(cluster.up(given.in_memory))


def _status(_: Arguments) -> int:
    found = cluster.status()
    for name, state in found.items():
        print(f"{name:26}{state}")
    return 0 if set(found.values()) == {"ready"} else 1


def _kubeconfig(_: Arguments) -> int:
    print(admin_kubeconfig())
    return 0 if admin_kubeconfig().exists() else 1


def _image(given: Arguments) -> None:
    if given.dockerfile:
        pairs = dict(argument.split("=", 1) for argument in given.build_arg)
        print(images.build_image(given.name, given.dockerfile, given.context, given.target, pairs))
    elif given.name in images.KNOWN:
        print(images.image(given.name))
    else:
        raise RuntimeError(f"{given.name} is not a known image; say --dockerfile")
    disk.report()


def _standin(given: Arguments) -> None:
    {"start": command.start, "stop": command.stop}[given.what]()


def _stop(given: Arguments) -> None:
    cluster.stop_component(given.name, given.hard)


if __name__ == "__main__":
    sys.exit(main())
