"""Every key in the artifact store, pure.

A tree of one installation's bucket:

ns/<namespace>/datasets/<dataset>/<prepare id>/   manifest.json + train|validation|test-00000.parquet
ns/<namespace>/models/<model>/numbers/<n>         claim: {"run": <run id>}, written once, never removed
ns/<namespace>/models/<model>/numbers/<n>.spent   the version's artifacts were deleted: not even its run gets <n> again
ns/<namespace>/models/<model>/runs/<run id>/
    report.json  report.html  history.jsonl  tensorboard/
    checkpoints/<step>-<epoch>/                   manifest.json last: the complete marker
    version/                                      manifest.json last, never overwritten
ns/<namespace>/bases/records/<listing>.json       what the files of a listing of a base model are, by sha256
ns/<namespace>/bases/<base digest>/               a base model's copy, for versions that are served on it
Below a prefix with a manifest the files lie in <first 16 digits of the manifest's digest>-<epoch>/, so that of two
publishers the one whose manifest stands has all of its files, whatever the other one still writes. The epoch is of the
start of a run or a preparation: another start of the very same one writes no key that this one ever wrote, so that what
is swept after one, however late, is nothing of the other's.
"""

from __future__ import annotations

MANIFEST = "manifest.json"
REPORT = "report.json"


def datasets_prefix(namespace: str) -> str:
    """All prepared rows of a namespace."""
    return f"ns/{namespace}/datasets/"


def dataset_prefix(namespace: str, dataset: str, prepare_id: str) -> str:
    """Where prepared rows lie."""
    return f"{datasets_prefix(namespace)}{dataset}/{prepare_id}/"


def base_record_key(namespace: str, listing: str) -> str:
    """What a namespace knows about the base model of a listing (a digest)."""
    return f"ns/{namespace}/bases/records/{listing.removeprefix('sha256:')}.json"


def base_prefix(namespace: str, digest: str) -> str:
    """A base model's own copy for versions that need it when they are served, named after its content."""
    return f"ns/{namespace}/bases/{digest.removeprefix('sha256:')}/"


def model_prefix(namespace: str, model: str) -> str:
    """Everything of one model."""
    return f"ns/{namespace}/models/{model}/"


def numbers_prefix(namespace: str, model: str) -> str:
    """Claims of version numbers."""
    return f"{model_prefix(namespace, model)}numbers/"


def number_key(namespace: str, model: str, number: int) -> str:
    """Claim of one version number."""
    return f"{numbers_prefix(namespace, model)}{number}"


def spent_key(namespace: str, model: str, number: int) -> str:
    """Marks a claimed number whose artifacts were deleted."""
    return f"{number_key(namespace, model, number)}.spent"


def run_prefix(namespace: str, model: str, run: str) -> str:
    """Everything that one run writes."""
    return f"{model_prefix(namespace, model)}runs/{run}/"


def version_prefix(run: str) -> str:
    """The published artifacts below a run's prefix."""
    return f"{run}version/"


def run_of_version(prefix: str) -> str:
    """A run's prefix, by that of what it published."""
    return prefix.removesuffix("version/")


def checkpoints_prefix(run: str) -> str:
    """All checkpoints below a run's prefix."""
    return f"{run}checkpoints/"


def checkpoint_prefix(run: str, step: int, epoch: str = "") -> str:
    """One checkpoint; ten digits so that names sort as numbers."""
    return f"{checkpoints_prefix(run)}{_folder(f'{step:010d}', epoch)}/"


def manifest_key(prefix: str) -> str:
    """The manifest that makes a prefix complete."""
    return f"{prefix}{MANIFEST}"


def file_key(prefix: str, digest: str, path: str, epoch: str) -> str:
    """One published file, in a folder of its manifest's digest and epoch: two publishers never share a file."""
    return f"{prefix}{_folder(digest.removeprefix('sha256:')[:16], epoch)}/{path}"


def _folder(name: str, epoch: str) -> str:
    return f"{name}-{epoch}" if epoch else name


def is_of_epoch(folder: str, epoch: str) -> bool:
    """Whether a folder of published files, or of a checkpoint, was written by the start that the epoch is of."""
    return folder.partition("-")[2] == epoch


def report_key(run: str) -> str:
    """Full RunReport of the last attempt, also of a failed one."""
    return f"{run}{REPORT}"


def page_key(run: str) -> str:
    """What the run came to, as a page for people."""
    return f"{run}report.html"


def history_key(run: str) -> str:
    """JSON lines: one object per logged step."""
    return f"{run}history.jsonl"


def tensorboard_prefix(run: str) -> str:
    """TensorBoard event files."""
    return f"{run}tensorboard/"


def is_foreign(namespace: str, bucket: str, uri: str) -> bool:
    """True when a URI names, or a folder of it holds, what belongs to another namespace of the artifact store."""
    place, key = split_uri(folder_uri(uri))
    if place != bucket:
        return False
    return not key or (key.startswith("ns/") and not key.startswith(f"ns/{namespace}/"))


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def folder_uri(uri: str) -> str:
    """The URI with exactly one '/' at its end, so that run-1 never matches run-10."""
    return uri.rstrip("/") + "/"
