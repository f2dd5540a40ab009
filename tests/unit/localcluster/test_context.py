"""What an image's key is made of."""

from pathlib import Path

import pytest

from dev.localcluster.artifacts import content_key
from dev.localcluster.context import content_parts, copied_sources, stage, visible_files


@pytest.mark.parametrize(
    ("line", "sources"),
    [
        ("COPY a b /target/", ["a", "b"]),
        ("copy --chown=1:1 src /src", ["src"]),
        ('COPY ["a b", "/target"]', ["a b"]),
        ("COPY --from=build /out /out", []),
        ("COPY pyproject.toml \\\n  uv.lock \\\n  ./", ["pyproject.toml", "uv.lock"]),
        ("# COPY hidden /hidden\nADD seen /seen", ["seen"]),
        ("RUN echo COPY x y", []),
    ],
)
def test_copied_sources(line: str, sources: list[str]) -> None:
    assert copied_sources(f"FROM scratch\n{line}\n") == sources


def test_only_copied_files_that_are_not_ignored_are_visible(tmp_path: Path) -> None:
    _write(tmp_path, "src/app.py", "src/app.pyc", "notes.md", "lib/x/deep.txt")
    _write(tmp_path, ".dockerignore", text="**/*.pyc\n")
    dockerfile = _write(tmp_path, "Dockerfile", text="FROM scratch\nCOPY ./src /src\nCOPY lib/* /lib/\n")
    assert visible_files(dockerfile, tmp_path) == [Path("lib/x/deep.txt"), Path("src/app.py")]


def test_key_follows_content_and_not_time(tmp_path: Path) -> None:
    file = _write(tmp_path, "a.txt", text="one")
    before = content_key(content_parts(tmp_path, [Path("a.txt")]))
    file.touch()
    assert content_key(content_parts(tmp_path, [Path("a.txt")])) == before
    file.write_text("two")
    assert content_key(content_parts(tmp_path, [Path("a.txt")])) != before


def test_staged_files_have_fixed_times(tmp_path: Path) -> None:
    _write(tmp_path, "context/sub/a.txt")
    stage(tmp_path / "context", [Path("sub/a.txt")], tmp_path / "staged")
    times = {entry.stat().st_mtime for entry in (tmp_path / "staged").rglob("*")}
    assert len(times) == 1


def _write(folder: Path, *names: str, text: str = "text") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / names[-1]
