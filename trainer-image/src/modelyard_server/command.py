"""Commands of the server image: `fetch` a version, then `serve` it."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.api.run import ExitCode
from modelyard_server.ending import fail
from modelyard_server.slim import leave_out_unused

if TYPE_CHECKING:
    from modelyard_server.load import Loaded

MODEL_DIR = Path("/mnt/models")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except Exception as fault:
        return int(fail(fault, options.command))
    return int(ExitCode.PUBLISHED)


def fetch(options: argparse.Namespace) -> None:
    """Bring a version to the local disk."""
    from modelyard_server.fetch import fetch

    fetch(options.uri, options.target)


def serve(options: argparse.Namespace) -> None:
    """Serve the version in a folder; it is hashed and loaded while the SDK, which takes longer, is imported."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    sys.argv[1:] = []  # the SDK reads them as its own options when it is imported
    leave_out_unused()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(_load, options.model_dir)
        from modelyard_server import serve as server

        loaded = loading.result()
    server.run(server.settings_from_environment(options.http_port, options.grpc_port), loaded)


def _load(folder: Path) -> Loaded:
    from modelyard_server.load import load

    return load(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelyard_server", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("fetch", help="bring a version to the local disk, every byte verified")
    command.add_argument("uri", help="modelyard://<bucket>/<prefix>@sha256:<manifest digest>")
    command.add_argument("target", type=Path, nargs="?", default=MODEL_DIR)
    command.set_defaults(run=fetch)
    command = commands.add_parser("serve", help="serve the version in a folder")
    command.add_argument("--model-dir", type=Path, default=MODEL_DIR)
    command.add_argument("--http-port", type=int, default=8080)
    command.add_argument("--grpc-port", type=int, default=8081, help="0: no gRPC")
    command.set_defaults(run=serve)
    return parser
