"""How a command ends that cannot go on: one line for people, the same as JSON in the termination log, an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from modelyard import names
from modelyard.api.run import TERMINATION_LIMIT, TERMINATION_PATH, ExitCode, Outcome
from modelyard.storage.errors import Corrupt, Denied, Misconfigured, Missing, StoreError, Unavailable

CODES: dict[type[StoreError], ExitCode] = {
    Denied: ExitCode.STORE_DENIED,
    Misconfigured: ExitCode.STORE_DENIED,
    Missing: ExitCode.SOURCE_NOT_FOUND,
    Corrupt: ExitCode.CORRUPT,
    Unavailable: ExitCode.STORE_UNAVAILABLE,
}
REMEDIES: dict[type[StoreError], str] = {
    Denied: f"put a key that may read this prefix into the Secret {names.SECRET_STORE_READ} of this namespace",
    Missing: "the version's artifacts were deleted or lie in another bucket: deploy another version",
    Unavailable: "check that the store at MODELYARD_STORE_ENDPOINT answers; the pod is started again by itself",
}


def fail(fault: Exception, stage: str) -> ExitCode:
    """Report a fault on stderr and in the termination log; gives the exit code that belongs to it."""
    code, reason, message = describe(fault)
    message = " ".join(message.split())
    print(f"{stage} failed: {reason}: {message}", file=sys.stderr, flush=True)
    _write(Outcome(outcome="failed", reason=reason, message=message, stage=stage))
    return code


def describe(fault: Exception) -> tuple[ExitCode, str, str]:
    """Exit code, reason (names.py) and message of a fault."""
    if isinstance(fault, StoreError):
        remedy = REMEDIES.get(type(fault))
        message = f"{fault.message}: {remedy}" if remedy else fault.message
        return CODES.get(type(fault), ExitCode.INTERNAL), fault.reason, message
    if isinstance(fault, ValueError):
        return ExitCode.BAD_CONFIG, names.BAD_CONFIG, str(fault)
    if isinstance(fault, OSError):
        return (
            ExitCode.INTERNAL,
            names.LOAD_FAILED,
            f"{fault}: give the pod a writable volume with more space",
        )
    kind = "" if isinstance(fault, RuntimeError) else f"{type(fault).__name__}: "
    return ExitCode.INTERNAL, names.LOAD_FAILED, f"{kind}{fault}"


def _write(outcome: Outcome) -> None:
    path = Path(os.environ.get("MODELYARD_TERMINATION_LOG", TERMINATION_PATH))
    if path.is_file():  # the kubelet makes it; outside a cluster there is none
        path.write_bytes(_shortened(outcome))


def _shortened(outcome: Outcome) -> bytes:
    data = outcome.model_dump_json(by_alias=True).encode()
    while len(data) > TERMINATION_LIMIT:
        cut = len(outcome.message) - max(1, (len(data) - TERMINATION_LIMIT) // 4)
        outcome = outcome.model_copy(update={"message": outcome.message[:cut]})
        data = outcome.model_dump_json(by_alias=True).encode()
    return data
