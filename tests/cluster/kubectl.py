"""kubectl as a user runs it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.localcluster.tools import binary


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig."""

    kubeconfig: Path

    def run(self, *arguments: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        """Run a command; a manifest or several go in by `-f -`."""
        text = json.dumps(stdin) if stdin is not None else None
        command = [str(binary("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    def ok(self, *arguments: str, stdin: Any = None) -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, manifest: dict[str, Any], *options: str) -> dict[str, Any]:
        """Create an object; what the API server made of it."""
        return dict(json.loads(self.ok("create", "-o", "json", *options, "-f", "-", stdin=manifest)))

    def refused(self, *arguments: str, stdin: Any = None) -> str:
        """The message of a command that must fail."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, f"accepted: {done.stdout}"
        return done.stderr
