"""Manifests that a user might write."""

from __future__ import annotations

import random
from typing import Any

from modelyard import names
from modelyard.decision import Manifest

NAMESPACE = "team"
MODELS = ("alpha", "beta")


def profile() -> Manifest:
    """The platform team's offer."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "TrainingProfile",
        "metadata": {"name": names.DEFAULT_PROFILE},
        "spec": {"retries": 2},
    }


def dataset(name: str, rng: random.Random) -> Manifest:
    """Rows from one of a few sources, so that some Datasets have equal content."""
    return _object("Dataset", name, data_spec(rng))


def data_spec(rng: random.Random) -> dict[str, Any]:
    """Spec of a Dataset."""
    return {
        "task": "text-classification",
        "source": {"s3": {"uri": f"s3://data/reviews-{rng.randrange(1000)}/"}, "format": "jsonl"},
    }


def job(name: str, rng: random.Random, datasets: list[str], models: tuple[str, ...]) -> Manifest:
    """A job on one of the Datasets, on one that is missing, or with rows of its own."""
    spec: dict[str, Any] = {
        "from": {"base": "s3://base/minilm/"},
        "task": "text-classification",
        "dataset": _data(rng, datasets),
        "train": {"epochs": rng.randrange(1, 4)},
        "evaluate": {"gate": {"require": [{"metric": "macro_f1", "min": round(rng.uniform(0.3, 0.8), 2)}]}},
    }
    if rng.random() < 0.8:
        spec["model"] = {"name": rng.choice(models)}
    if rng.random() < 0.1:
        spec["suspend"] = True
    return _queued(_object("FineTuneJob", name, spec), rng)


def road(job_name: str, server_name: str, dataset: str) -> tuple[Manifest, Manifest]:
    """A job whose version passes, and what serves it: the way on which all else happens."""
    gate = {"require": [{"metric": "macro_f1", "min": 0.3}]}
    spec = {"from": {"base": "s3://base/minilm/"}, "task": "text-classification", "dataset": {"ref": dataset}}
    made = _object("FineTuneJob", job_name, {**spec, "model": {"name": MODELS[0]}, "evaluate": {"gate": gate}})
    served = _object("ModelDeployment", server_name, {"model": {"name": MODELS[0], "follow": "latest-passed"}})
    return made, served


def deployment(name: str, rng: random.Random, models: tuple[str, ...]) -> Manifest:
    """A server of the best version, or of a certain one."""
    model = {"name": rng.choice(models)}
    wish = {"version": rng.randrange(1, 3)} if rng.random() < 0.25 else {"follow": "latest-passed"}
    return _object("ModelDeployment", name, {"model": {**model, **wish}})


def _data(rng: random.Random, datasets: list[str]) -> dict[str, Any]:
    if not datasets or rng.random() < 0.2:
        return {"inline": {**data_spec(rng), "source": {"inline": [{"text": "fine", "label": "good"}]}}}
    return {"ref": "missing" if rng.random() < 0.03 else rng.choice(datasets)}


def plain(api_version: str, kind: str, name: str, rest: Manifest) -> Manifest:
    """An object of a built-in kind that is none of ours."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **rest}


def _queued(obj: Manifest, rng: random.Random) -> Manifest:
    """Now and then it shall wait in a queue of Kueue."""
    if rng.random() < 0.15:
        obj["metadata"]["labels"][names.LABEL_QUEUE] = "team"
    return obj


def _object(kind: str, name: str, spec: dict[str, Any]) -> Manifest:
    meta = {"name": name, "namespace": NAMESPACE, "labels": {"team": "blue"}}
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": meta, "spec": spec}
