"""The Job that prepares rows, and the id and prefix under which the same spec always lies."""

from __future__ import annotations

from modelyard import names
from modelyard.api import layout
from modelyard.api.common import seconds
from modelyard.api.dataset import DatasetSpec, DatasetStatus
from modelyard.api.run import PrepareConfig, needed_contract
from modelyard.api.trainingprofile import TrainingProfileSpec
from modelyard.decision import Manifest, Observed, Platform
from modelyard.resources import hashes
from modelyard.resources.memoized import memoized
from modelyard.resources.parse import status_of
from modelyard.resources.pod_block import resolved
from modelyard.resources.profiles import own_image_of
from modelyard.resources.queueing import queue_of
from modelyard.resources.run_job import MOST_CONFIG, config_size
from modelyard.resources.run_plan import RunPlan, endpoint_of, store_of
from modelyard.resources.waiting import Wait, stuck


def prepare_id(obj: Manifest, spec: DatasetSpec) -> str:
    """Hash of what decides the content: the profile and the resources do not."""
    return identity(obj, spec)[0]


def identity(obj: Manifest, spec: DatasetSpec) -> tuple[str, int]:
    """Id of the preparation that the spec asks for, and the rule that made it: that of the status if it still fits.

    One made with a rule of a newer operator cannot be compared here: it stands.
    """
    status = status_of(DatasetStatus, obj)
    made, version = status.prepare_id, status.hash_version
    if made is not None and (version not in hashes.RULES or made == hashes.dataset_hash(spec, version)):
        return made, version
    return hashes.dataset_hash(spec, hashes.newest()), hashes.newest()


def prefix(obj: Manifest, spec: DatasetSpec) -> str:
    """Where the prepared rows lie."""
    return layout.dataset_prefix(obj["metadata"]["namespace"], obj["metadata"]["name"], prepare_id(obj, spec))


def epoch(obj: Manifest, spec: DatasetSpec) -> str:
    """Of the start of this preparation: that of the status, or of one that is made now."""
    status = status_of(DatasetStatus, obj)
    return status.epoch if status.prepare_id == prepare_id(obj, spec) else names.epoch_of(obj)


def is_foreign(namespace: str, spec: DatasetSpec, platform: Platform) -> bool:
    """True when the installation's key would read another namespace's part of the artifact store.

    A store and a key of the user's own are the user's business.
    """
    source = spec.source.s3
    if source is None or (source.endpoint and source.secret):
        return False
    return layout.is_foreign(namespace, platform.store_bucket, source.uri)


def job_name(obj: Manifest, spec: DatasetSpec) -> str:
    """Name of Job and ConfigMap."""
    return names.child_name(obj["metadata"]["name"], f"prepare-{prepare_id(obj, spec)}")


def plan(obj: Manifest, spec: DatasetSpec, profile: TrainingProfileSpec, observed: Observed) -> RunPlan:
    """The Job as it would be made now."""
    platform, name = observed.platform, job_name(obj, spec)
    return RunPlan(
        name=name,
        run=prepare_id(obj, spec),
        config=_config(obj, spec, platform),
        image=own_image_of(profile, observed),
        chosen_image="" if profile.trainer.command else profile.trainer.image or "",
        store_secret=profile.store.secret or "",
        source_secret=_source_secret(spec, profile),
        resources=spec.resources,
        queue=queue_of(obj, profile),
        retries=profile.retries,
        endpoint=endpoint_of(platform, obj["metadata"]["namespace"], name),
        endpoint_ca=platform.endpoint_ca,
        grace=seconds(profile.grace_period),
        pod=resolved(profile.pod, obj),
    )


@memoized
def too_large(wanted: RunPlan) -> Wait | None:
    """Rows written in the object reach the pod in a ConfigMap; said before anything is made."""
    rows = wanted.config.source.inline if isinstance(wanted.config, PrepareConfig) else None
    if not rows or (size := config_size(wanted)) <= MOST_CONFIG:
        return None
    text = (
        f"spec.source.inline: {len(rows)} rows take {-(-size >> 10)} KiB in UTF-8, at most {MOST_CONFIG >> 10} KiB "
        "reach a pod: remove or shorten rows, or put them as a file into an object store and set spec.source.s3"
    )
    return stuck(names.INVALID_SPEC, text)


def _config(obj: Manifest, spec: DatasetSpec, platform: Platform) -> PrepareConfig:
    config = PrepareConfig(
        name=obj["metadata"]["name"],
        prefix=prefix(obj, spec),
        epoch=epoch(obj, spec),
        store=store_of(platform),
        task=spec.task,
        source=spec.source,
        steps=spec.prepare,
    )
    return config.model_copy(update={"contract": needed_contract(config)})


def _source_secret(spec: DatasetSpec, profile: TrainingProfileSpec) -> str:
    if spec.source.s3 is None:
        return ""
    return spec.source.s3.secret or profile.store.secret or ""
