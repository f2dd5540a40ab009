"""Images for the local cluster: built once per content, kept in the local registry."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dev.localcluster import basefs, disk, pulled, registry
from dev.localcluster.artifacts import content_key
from dev.localcluster.callersettings import build_mounts
from dev.localcluster.context import content_parts, stage, visible_files
from dev.localcluster.debian import ensure_packages, require_root
from dev.localcluster.layered import add_layer
from dev.localcluster.layout import PACKAGE, REGISTRY, REPOSITORY, cache
from dev.localcluster.locks import exclusive
from dev.localcluster.progress import note, step
from dev.localcluster.shell import run, run_logged
from dev.localcluster.tools import binary

DOCKERFILES = PACKAGE / "dockerfiles"
KEPT_TAGS = 3
LAYERED = ("trainer", "server")
CODE = "# ---- our code"
"""Below this line of trainer-image/Dockerfile stand only COPYs: what is above is built once per set of libraries."""
OWN = ("base", "pause", "coredns", "minio")
STUB = "stubtrainer"
STUB_FILES = (
    "__init__.py",
    "stubtrainer/*.py",
    "server/__init__.py",
    "server/onnxfile.py",
    "trainer/__init__.py",
    "trainer/words.py",
)
KNOWN = (*OWN, "operator", *LAYERED, STUB)


def image(name: str) -> str:
    """The reference of a known image, built if the registry lacks it."""
    if name == "base":
        return base_image()
    if name == "pause":
        return build_image("pause", DOCKERFILES / "pause.Dockerfile", Path("/bin"))
    if name in OWN:
        return build_image(name, DOCKERFILES / f"{name}.Dockerfile", binary(name).parent)
    if name in LAYERED:
        return _layered_image(name)
    if name == STUB:
        return _stub_image()
    return build_image(name, REPOSITORY / name / "Dockerfile", REPOSITORY)


def _layered_image(name: str) -> str:
    """Libraries and code apart: large images are built seldom, and a change of code moves a few kilobytes."""
    libraries, _, code = (REPOSITORY / "trainer-image" / "Dockerfile").read_text().partition(CODE)
    with tempfile.TemporaryDirectory(dir=_temporary()) as scratch:
        above, below = Path(scratch, "libraries.Dockerfile"), Path(scratch, "code.Dockerfile")
        above.write_text(libraries)
        below.write_text(code)
        base = build_image(f"{name}-deps", above, REPOSITORY, f"{name}-deps")
        files = visible_files(below, REPOSITORY)
    key = content_key([base, code, *content_parts(REPOSITORY, files)])
    reference = f"{REGISTRY}/{name}:{key}"
    with _unless_there(reference) as missing:
        if missing:
            add_layer(base, reference, [(REPOSITORY / file, _place(file)) for file in files])
    return reference


def _stub_image() -> str:
    """The tests' trainer: a few files on the trainer's image, whose data steps it takes as they are."""
    base, tests = image("trainer"), REPOSITORY / "tests"
    files = sorted(path.relative_to(REPOSITORY) for pattern in STUB_FILES for path in tests.glob(pattern))
    reference = f"{REGISTRY}/{STUB}:{content_key([base, *content_parts(REPOSITORY, files)])}"
    with _unless_there(reference) as missing:
        if missing:
            entrypoint = ["python", "-m", "tests.stubtrainer"]
            add_layer(base, reference, [(REPOSITORY / file, f"app/{file}") for file in files], entrypoint)
    return reference


def _place(file: Path) -> str:
    """operator/src/modelyard/x.py lies in the image at app/modelyard/x.py."""
    return f"app/{file.relative_to(Path(*file.parts[:2]))}"


def base_image() -> str:
    """The only image that others may start from: Debian with Python."""
    reference = f"{REGISTRY}/base:{basefs.base_key()}"
    with _unless_there(reference) as missing:
        if missing:
            _build_and_push(reference, DOCKERFILES / "base.Dockerfile", basefs.ensure_base_folder(), [])
    return reference


def build_image(
    name: str,
    dockerfile: Path,
    context: Path,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
) -> str:
    """Build and push an image unless the registry has this very content; return its reference."""
    arguments = dict(build_args or {})
    if "BASE" in dockerfile.read_text():
        arguments.setdefault("BASE", base_image())
    files = visible_files(dockerfile, context)
    named = [f"{key}={value}" for key, value in sorted(arguments.items())]
    key = content_key([dockerfile.read_bytes(), target or "", *named, "--", *content_parts(context, files)])
    reference = f"{REGISTRY}/{name}:{key}"
    options = [word for argument in named for word in ("--build-arg", argument)]
    options += ["--target", target] if target else []
    with _unless_there(reference) as missing:
        if missing:
            with tempfile.TemporaryDirectory(dir=_temporary()) as staged:
                stage(context, files, Path(staged))
                _build_and_push(reference, dockerfile, Path(staged), options)
            _stay_within_budget()
    return reference


@contextmanager
def _unless_there(reference: str) -> Iterator[bool]:
    """True and the builders' lock if an image is missing; an image that is there waits for no other build."""
    registry.ensure_registry()
    if registry.has(reference):
        yield False
        return
    with exclusive(cache("images.lock")):
        yield not registry.has(reference)


def _build_and_push(reference: str, dockerfile: Path, context: Path, options: list[str]) -> None:
    require_root("building images")
    ensure_packages()
    name = reference.removeprefix(f"{REGISTRY}/")
    log = cache("logs", f"image-{name.partition(':')[0]}.log")
    with tempfile.TemporaryDirectory(dir=_temporary()) as scratch:
        identity = Path(scratch) / "image-id"
        how = ["--isolation", "chroot", "--network", "host", "--layers", "--tls-verify=false"]
        how += ["--iidfile", str(identity), "--file", str(dockerfile), *build_mounts(Path(scratch))]
        with step(f"build image {name}"):
            run_logged([*buildah(), "bud", *how, *options, context], log, _build_environment())
        with step(f"push image {name}"):
            # The image never gets a name in the store: only its layers stay, as a cache.
            push = ["push", "--tls-verify=false", "--compression-format=zstd", "--compression-level=1"]
            push += [identity.read_text().strip(), f"docker://{reference}"]
            run_logged([*buildah(), *push], log.with_suffix(".push.log"), _build_environment())


def buildah() -> list[str]:
    """Buildah with a store of its own in the cache folder."""
    store = ["--root", str(cache("buildah", "root")), "--runroot", "/run/modelyard-buildah"]
    return ["/usr/bin/buildah", *store, "--storage-driver", "overlay"]


def _build_environment() -> dict[str, str]:
    return {"TMPDIR": str(_temporary())}


def _temporary() -> Path:
    folder = cache("tmp")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _stay_within_budget() -> None:
    """Give back what costs least to have again: unused unpacked images, old tags, then the layer cache."""
    for give_back in (pulled.remove_unused, _forget_old_tags, _forget_layers):
        if disk.total_used() <= disk.BUDGET:
            return
        give_back()


def _forget_old_tags() -> None:
    registry.forget_old_tags(KEPT_TAGS)


def _forget_layers() -> None:
    note("the layer cache goes, to stay within the disk budget")
    run([*buildah(), "rmi", "--all", "--force"])
