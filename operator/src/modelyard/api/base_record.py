"""What a base model is: the content of the files that are loaded; written down once per listing, in a record.

A listing shows etags, which follow from how a file was uploaded (part sizes, encryption) and not from its bytes alone.
So the digest that enters a run's id is of sha256 sums, and a record says which sums the files of a listing have. It is
believed by what it holds: digest and listing are worked out from its lines, never read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from modelyard.api.base_folder import is_loaded
from modelyard.api.common import StatusModel
from modelyard.api.run import FileEntry, digest_of


class Listed(NamedTuple):
    """A file of a base's folder as its store lists it: path below the folder, bytes, etag."""

    path: str
    size: int
    etag: str


class BaseFile(StatusModel):
    """A file that is loaded, and what its bytes are."""

    path: str
    size: int
    etag: str
    """As it was listed: of a store an ETag, of a hub the id of the blob."""
    sha256: str

    @property
    def entry(self) -> FileEntry:
        """What a download is checked against."""
        return FileEntry(path=self.path, size=self.size, sha256=self.sha256)


class BaseRecord(StatusModel):
    """The files that are loaded of the folder `uri`, as one listing showed them."""

    format: Literal[1] = 1
    uri: str
    """s3:// folder, with '/' at its end; a hub's address with its revision will be another form of it."""
    files: list[BaseFile]

    @property
    def listing(self) -> str:
        """Digest of the listing that the record is about."""
        return listing_digest(self.uri, [Listed(file.path, file.size, file.etag) for file in self.files])

    @property
    def digest(self) -> str:
        """sha256:... of the content: the same wherever the files lie and however they came there."""
        lines = sorted(f"{file.path}\0{file.size}\0{file.sha256}\n" for file in self.files)
        return digest_of("".join(lines).encode())


def loaded(entries: Iterable[Listed]) -> list[Listed]:
    """What is loaded of a folder, in the order of the paths: all else decides nothing and is never read."""
    return sorted(entry for entry in entries if is_loaded(entry.path))


def listing_digest(uri: str, entries: Iterable[Listed]) -> str:
    """sha256:... of what a listing shows of the files that are loaded, in any order."""
    lines = (f"{path}\0{size}\0{etag}\n" for path, size, etag in loaded(entries))
    return digest_of(f"{uri}\n{''.join(lines)}".encode())
