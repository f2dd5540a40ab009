"""The commands of the operator image: run, release-finalizers, and what is generated from the code."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    _Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
Command: TypeAlias = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 when it did what it should."""
    options = parser().parse_args(arguments)
    command: Command = options.command
    return command(options)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="modelyard",
        description="Modelyard: the whole life of a model on Kubernetes.",
        epilog="`modelyard COMMAND --help` explains one command.",
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = _add(commands, "run", _run, "Run the operator until it is stopped; settings come from MODELYARD_* and AWS_*.")
    run.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"), help="default: info")
    _add_release(commands)
    crds = _add(commands, "crds", _crds, "Print the CustomResourceDefinitions, for example for kubectl apply -f -.")
    crds.add_argument("--output", type=Path, metavar="FOLDER", help="write one file per kind here instead")
    _add(commands, "rbac", _rbac, "Print the ClusterRole and Role that the operator needs.")
    _add_generate(commands)
    return top


def _add(commands: _Commands, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    added = commands.add_parser(name, help=text, description=text)
    added.set_defaults(command=command)
    return added


def _add_release(commands: _Commands) -> None:
    text = "Stop the operator's Deployment, then take its finalizer off every ModelVersion (before uninstallation)."
    release = _add(commands, "release-finalizers", _release, text)
    release.add_argument("--deployment", default="", metavar="NAME", help="Deployment to scale to zero first")
    release.add_argument("--namespace", default="", metavar="NAME", help="its namespace")
    release.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="patience with its pods")


def _add_generate(commands: _Commands) -> None:
    text = "Write crds/, the chart's CRDs and permissions, and docs/reference.md and docs/tasks.md of a checkout."
    generate = _add(commands, "generate", _generate, text)
    generate.add_argument("--root", type=Path, default=Path(), help="root of the checkout (default: here)")
    generate.add_argument("--check", action="store_true", help="write nothing; fail and name the files that are stale")


def _run(options: argparse.Namespace) -> int:
    from modelyard.engine.main import run
    from modelyard.lifecycle import OFFER, RECONCILERS
    from modelyard.settings import Settings

    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
    return run(RECONCILERS, OFFER, Settings.from_environment())


def _release(options: argparse.Namespace) -> int:
    from modelyard.release import release

    return release(options.namespace, options.deployment, options.timeout)


def _crds(options: argparse.Namespace) -> int:
    from modelyard import generate

    if options.output is None:
        sys.stdout.write(generate.crds_yaml())
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    for path, text in generate.files().items():
        if path.parent == generate.CRDS:
            (options.output / path.name).write_text(text)
    return 0


def _rbac(_: argparse.Namespace) -> int:
    from modelyard import generate

    sys.stdout.write(generate.rbac_yaml())
    return 0


def _generate(options: argparse.Namespace) -> int:
    from modelyard import generate

    if not options.check:
        for path in generate.write(options.root):
            print(f"wrote {path}")
        return 0
    stale = generate.stale(options.root)
    for path in stale:
        print(f"stale: {path} (make generate)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
