"""Servers that live no longer than the test process that started them."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.localcluster.processes import Identity
from dev.localcluster.waiting import NotReadyError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_PREFIX = "modelyard-"


class Child:
    """One server process; the kernel kills it when the thread that started it is gone."""

    def __init__(self, name: str, command: Sequence[str | Path], folder: Path) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the server; its output goes to a log file."""
        if self.running():
            return
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                preexec_fn=die_with_parent,
                start_new_session=True,
            )

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self, grace: float = 2.0) -> None:
        """Ask the process to end, then kill it; with no grace it is killed at once."""
        if self._process is None:
            return
        if self.running() and grace:
            self._process.terminate()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def must_run(self) -> bool:
        """True, or an error with the end of the log if the process has ended by itself."""
        if self.running():
            return True
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        raise NotReadyError(f"{self.name} ended by itself; end of its log:\n{tail}")


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scratch_folder(kind: str, in_memory: bool) -> Path:
    """A fresh folder for one server; folders of test processes that are gone are removed first."""
    root = Path("/dev/shm") if in_memory else Path(tempfile.gettempdir())
    for folder in root.glob(f"{_PREFIX}{kind}-*"):
        if not _owner_lives(folder):
            shutil.rmtree(folder, ignore_errors=True)
    owner = Identity.of(os.getpid())
    prefix = f"{_PREFIX}{kind}-{owner.pid}-{owner.start_ticks}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=root))


def _owner_lives(folder: Path) -> bool:
    pid, start_ticks = folder.name.split("-")[-3:-1]
    return Identity(int(pid), int(start_ticks)).alive()
