"""Content-keyed folders in the cache, put in place whole or not at all."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.localcluster.layout import cache

KEY_LENGTH = 16


def content_key(parts: Iterable[bytes | str]) -> str:
    """A short digest of parts; each is framed by its length, so that parts cannot run together."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()[:KEY_LENGTH]


def artifact(name: str, key: str) -> Path:
    """The folder of an artifact, whether or not it is there."""
    return cache("artifacts", f"{name}-{key}")


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` in one rename if nothing goes wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    scratch.chmod(0o755)
    try:
        yield scratch
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def link_newest(folder: Path, command: str) -> None:
    """Let the cache's bin folder name the newest build of a command, for people."""
    link = cache("bin", command)
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{command}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder / command)
    fresh.rename(link)
