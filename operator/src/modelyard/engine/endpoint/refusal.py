"""A request that is refused, and why; the answer is always JSON."""

from __future__ import annotations


class Refused(Exception):
    """HTTP status, a stable word, and a message that names the cause."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


def unauthenticated(message: str) -> Refused:
    """The token proves nothing to us."""
    return Refused(401, "Unauthenticated", message)


def forbidden(message: str) -> Refused:
    """The token is genuine, but not of a pod of this run."""
    return Refused(403, "Forbidden", message)
