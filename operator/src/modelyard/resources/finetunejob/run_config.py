"""The run as the trainer and the Job need it, from pins alone."""

from __future__ import annotations

from modelyard import names
from modelyard.api.common import seconds
from modelyard.api.finetunejob import Pinned, Run
from modelyard.api.run import BaseModelInput, DatasetInput, StoreLocation, TrainConfig
from modelyard.resources.finetunejob.case import Case, job_name
from modelyard.resources.run_plan import RunPlan, endpoint_of


def run_plan(case: Case, run: Run, pinned: Pinned) -> RunPlan:
    """All that decides the Job."""
    platform = case.observed.platform
    return RunPlan(
        name=job_name(run),
        run=run.id,
        config=train_config(case, run, pinned),
        image=pinned.image,
        command=pinned.command,
        args=pinned.args,
        own_image=pinned.own_image,
        store_secret=pinned.store_secret,
        resources=run.resources or case.spec.resources,
        queue=pinned.queue,
        retries=pinned.retries,
        endpoint=endpoint_of(platform, case.namespace, job_name(run)),
        endpoint_ca=platform.endpoint_ca,
        grace=seconds(pinned.grace_period),
        node_selector=pinned.node_selector,
        tolerations=pinned.tolerations,
        labels={names.LABEL_MODEL: run.model},
    )


def train_config(case: Case, run: Run, pinned: Pinned) -> TrainConfig:
    """What the pod reads."""
    spec = case.spec
    return TrainConfig(
        name=case.name,
        run=run.id,
        model=run.model,
        prefix=case.prefix(run),
        store=_store(case),
        task=spec.task,
        base=BaseModelInput(uri=pinned.base.uri, digest=pinned.base.digest),
        dataset=DatasetInput(prefix=pinned.dataset.prefix, digest=pinned.dataset.digest),
        method=spec.method,
        train=spec.train,
        export=spec.export,
        checkpoint_every=seconds(spec.checkpoint.every),
        checkpoint_keep=spec.checkpoint.keep,
        image=pinned.image,
    )


def _store(case: Case) -> StoreLocation:
    platform = case.observed.platform
    return StoreLocation(endpoint=platform.store_endpoint, region=platform.store_region, bucket=platform.store_bucket)
