"""What an image build can see: the files that a Dockerfile copies, staged apart with fixed times."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

# Any fixed time: the layer of an unchanged COPY is then the same layer in every clone.
FIXED_TIME = 1_700_000_000


def visible_files(dockerfile: Path, context: Path) -> list[Path]:
    """The files of the context that the Dockerfile copies, relative, sorted; ignored ones are left out."""
    sources = copied_sources(dockerfile.read_text())
    ignored = _ignore_patterns(dockerfile, context)
    candidates = (path for path in _files(context) if not _ignored(path, ignored))
    return sorted(path for path in candidates if any(_covers(source, path) for source in sources))


def copied_sources(text: str) -> list[str]:
    """The sources of all COPY and ADD that come from the context."""
    return [source for words in _instructions(text) for source in _sources(words)]


def content_parts(context: Path, files: list[Path]) -> Iterator[bytes | str]:
    """Name, mode and content of each file, for the key of an image."""
    for path in files:
        file = context / path
        yield str(path)
        if file.is_symlink():
            yield f"link to {file.readlink()}"
        else:
            yield "executable" if os.access(file, os.X_OK) else "file"
            yield file.read_bytes()


def stage(context: Path, files: list[Path], target: Path) -> None:
    """Copy the files to an empty folder, with fixed times and modes."""
    for path in files:
        destination = target / path
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(context / path, destination, follow_symlinks=False)
        if not destination.is_symlink():
            destination.chmod(0o755 if os.access(context / path, os.X_OK) else 0o644)
    for entry in [target, *target.rglob("*")]:
        if entry.is_dir():
            entry.chmod(0o755)
        os.utime(entry, (FIXED_TIME, FIXED_TIME), follow_symlinks=False)


def _files(context: Path) -> Iterator[Path]:
    listing = ["git", "-C", str(context), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(listing, capture_output=True, text=True, check=False)
    if answer.returncode == 0 and answer.stdout:
        names = [Path(name) for name in answer.stdout.split("\0") if name]
        return (name for name in names if (context / name).is_symlink() or (context / name).is_file())
    return (file.relative_to(context) for file in context.rglob("*") if file.is_file() or file.is_symlink())


def _instructions(text: str) -> Iterator[list[str]]:
    for line in re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines():
        verb, _, rest = line.strip().partition(" ")
        if verb.upper() in {"COPY", "ADD"}:
            yield shlex.split(rest.strip().strip("[]").replace('",', '" '))


def _sources(words: list[str]) -> list[str]:
    if any(word.startswith("--from=") for word in words):
        return []
    return [word for word in words if not word.startswith("--")][:-1]


def _covers(source: str, path: Path) -> bool:
    pattern = source.removeprefix("./").strip("/")
    if pattern in {"", "."} or "$" in pattern:
        return True
    candidates = [path, *path.parents]
    return any(fnmatch(str(candidate), pattern) for candidate in candidates)


def _ignore_patterns(dockerfile: Path, context: Path) -> list[str]:
    for file in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore"):
        if file.is_file():
            lines = (line.strip() for line in file.read_text().splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


def _ignored(path: Path, patterns: list[str]) -> bool:
    hidden = False
    for pattern in patterns:
        plain = pattern.removeprefix("!").strip("/").removeprefix("**/")
        if _matches(path, plain, anywhere="**/" in pattern):
            hidden = not pattern.startswith("!")
    return hidden


def _matches(path: Path, pattern: str, anywhere: bool) -> bool:
    for candidate in [path, *path.parents]:
        if fnmatch(str(candidate), pattern) or (anywhere and PurePosixPath(candidate).match(pattern)):
            return True
    return False
