"""The run as the trainer and the Job need it, from pins alone."""

from __future__ import annotations

from modelyard import names
from modelyard.api import layout
from modelyard.api.common import seconds
from modelyard.api.finetunejob import FineTuneJobSpec, Pinned, Run
from modelyard.api.run import BaseModelInput, DatasetInput, TrainConfig, VersionInput, needed_contract
from modelyard.decision import Platform
from modelyard.resources.finetunejob.case import Case, job_name
from modelyard.resources.memoized import memoized
from modelyard.resources.run_plan import RunPlan, endpoint_of, store_of


def run_plan(case: Case, run: Run, pinned: Pinned) -> RunPlan:
    """All that decides the Job."""
    return _plan(run, pinned, case.spec, case.observed.platform, case.namespace, case.name)


@memoized
def _plan(run: Run, pinned: Pinned, spec: FineTuneJobSpec, platform: Platform, namespace: str, name: str) -> RunPlan:
    return RunPlan(
        name=job_name(run),
        run=run.id,
        config=_train_config(run, pinned, spec, platform, namespace, name),
        image=pinned.image,
        chosen_image=pinned.image,
        command=pinned.command,
        args=pinned.args,
        own_image=pinned.own_image,
        store_secret=pinned.store_secret,
        resources=run.resources or spec.resources,
        queue=pinned.queue,
        retries=pinned.retries,
        endpoint=endpoint_of(platform, namespace, job_name(run)),
        endpoint_ca=platform.endpoint_ca,
        grace=seconds(pinned.grace_period),
        pod=pinned.pod,
        labels={names.LABEL_MODEL: run.model},
    )


def _base(pinned: Pinned, namespace: str) -> BaseModelInput | None:
    base = pinned.base
    if base is None:
        return None
    if base.version and base.manifest:
        version = VersionInput(name=base.version, manifest=base.manifest)
        return BaseModelInput(uri=base.uri, digest=base.digest, version=version)
    return BaseModelInput(uri=base.uri, digest=base.digest, record=layout.base_record_key(namespace, base.listing))


def _train_config(
    run: Run, pinned: Pinned, spec: FineTuneJobSpec, platform: Platform, namespace: str, name: str
) -> TrainConfig:
    """What the pod reads."""
    config = TrainConfig(
        name=name,
        run=run.id,
        model=run.model,
        prefix=layout.run_prefix(namespace, run.model, run.id),
        epoch=run.epoch,
        store=store_of(platform),
        task=spec.task,
        base=_base(pinned, namespace),
        scratch=None if pinned.base else spec.from_.start,
        dataset=DatasetInput(prefix=pinned.dataset.prefix, digest=pinned.dataset.digest),
        objective=spec.objective,
        method=pinned.method,
        input=pinned.input,
        train=pinned.train,
        by_recipe=pinned.by_recipe,
        micro_batch=pinned.micro_batch,
        export=spec.export,
        checkpoint_every=seconds(spec.checkpoint.every),
        checkpoint_keep=spec.checkpoint.keep,
        image=pinned.image,
    )
    return config.model_copy(update={"contract": needed_contract(config)})
