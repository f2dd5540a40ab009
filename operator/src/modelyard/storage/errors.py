"""Faults of the store in the project's own words: every one carries a reason (names.py) and a message for people."""

from __future__ import annotations

from modelyard import names


class StoreError(Exception):
    """Something about the store went wrong; `reason` is a word of names.py."""

    reason = names.STORE_UNAVAILABLE

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unavailable(StoreError):
    """No answer, or a server fault: worth trying again."""


class Denied(StoreError):
    """The key is unknown or may not do this."""

    reason = names.STORE_DENIED


class Misconfigured(Denied):
    """The store cannot be used as the settings say: certificate, scheme, region or addressing."""

    reason = names.STORE_MISCONFIGURED


class Missing(StoreError):
    """No such bucket or object."""

    reason = names.SOURCE_NOT_FOUND


class Corrupt(StoreError):
    """Bytes, sizes or the list of files differ from the manifest."""

    reason = names.CORRUPT


class Changed(Corrupt):
    """An object is not the one any more that was asked for."""


class AlreadyExists(StoreError):
    """A conditional write found the key taken."""

    reason = names.INTERNAL
