"""How a run ends early: a named fault with an exit code, or an interruption."""

from __future__ import annotations

from modelyard import names
from modelyard.api.run import REASONS, ExitCode
from modelyard.storage.errors import Corrupt, Denied, Missing, StoreError


class TrainerError(Exception):
    """A fault that people can act on: the message names cause, field and remedy."""

    def __init__(self, code: ExitCode, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or REASONS[code]


class Interrupted(BaseException):
    """The pod was asked to stop; not an Exception, so that no handler on the way takes it for a fault."""


def bad_data(message: str) -> TrainerError:
    """The rows cannot be used."""
    return TrainerError(ExitCode.BAD_DATA, message)


def bad_config(message: str) -> TrainerError:
    """The settings cannot be used."""
    return TrainerError(ExitCode.BAD_CONFIG, message)


def image_too_old(needed: int, known: int) -> TrainerError:
    """The run asks for what came after this image."""
    return TrainerError(
        ExitCode.IMAGE_TOO_OLD,
        f"the run needs contract {needed}, this trainer image knows {known}: set chart value image.trainer to the "
        "image of the operator's release, or leave out of the spec what is newer than the image",
    )


def bad_output(message: str) -> TrainerError:
    """A foreign trainer left nothing that can be published."""
    return TrainerError(ExitCode.BAD_OUTPUT, f"$MODELYARD_OUTPUT: {message} (docs/foreign-trainer.md)")


def bad_base(message: str, reason: str = names.BASE_INVALID) -> TrainerError:
    """The base model cannot be used."""
    return TrainerError(ExitCode.BASE_INVALID, message, reason)


def from_store(fault: StoreError) -> TrainerError:
    """The store's fault with the exit code that tells whether another try could help."""
    if isinstance(fault, Denied):
        if fault.reason != Denied.reason:
            return TrainerError(ExitCode.STORE_DENIED, fault.message, fault.reason)
        remedy = "check what the key may read and write (TrainingProfile spec.store, chart value store)"
        return TrainerError(ExitCode.STORE_DENIED, f"{fault.message}; {remedy}")
    if isinstance(fault, Corrupt):
        return TrainerError(ExitCode.CORRUPT, fault.message)
    if isinstance(fault, Missing):
        return TrainerError(ExitCode.SOURCE_NOT_FOUND, fault.message)
    return TrainerError(ExitCode.STORE_UNAVAILABLE, fault.message)


def cause_of(fault: BaseException) -> str:
    """What a library says of the first cause: kind and first line, cut to 300 characters."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    lines = str(fault).strip().splitlines() or [""]
    return f"{type(fault).__name__}: {lines[0][:300]}"


def out_of_memory(fault: BaseException) -> TrainerError | None:
    """The fault as an out-of-memory one, if it is; trying again with the same settings would give the same."""
    text = f"{type(fault).__name__}: {fault}"
    signs = (
        *("OutOfMemoryError", "MemoryError", "not enough memory", "can't allocate memory", "CUDA out of memory"),
        "BrokenProcessPool",  # a process that the system ends is one that took its memory
    )
    if not any(sign in text for sign in signs):
        return None
    remedy = (
        "lower spec.train.batchSize or spec.input.text.maxLength, or raise spec.resources.memory, and set spec.attempt"
    )
    first = text.splitlines()[0][:300]
    return TrainerError(ExitCode.BAD_CONFIG, f"out of memory ({first}): {remedy}", names.OUT_OF_MEMORY)
