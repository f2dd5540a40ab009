"""A namespace on the embedded cluster with everything installed: what the end-to-end tests speak through."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dev.known_base import record_of
from dev.localcluster.images import image
from examples.demo import install
from examples.demo.cluster import Cluster
from examples.demo.follow import is_current, ready_condition
from modelyard.api import layout
from tests.e2e.seen import seen
from tests.stubtrainer.behaviour import Behaviour
from tests.trainer.words import json_lines, rows

Manifest = dict[str, Any]
API = "modelyard.dev/v1alpha1"
BASE = "s3://base/tiny/"
STUB_PROFILE = "stub"
STUB_RESOURCES = {"cpu": 0.3, "memory": "256Mi"}


@dataclass(frozen=True)
class ClusterHarness:
    """One namespace; times in seconds."""

    cluster: Cluster
    namespace: str

    def kube(self, *words: str, stdin: str | None = None) -> str:
        """kubectl in this namespace."""
        return self.cluster.kube("-n", self.namespace, *words, stdin=stdin)

    def apply(self, *objects: Manifest) -> None:
        """kubectl apply."""
        items = [{**o, "metadata": {**o["metadata"], "namespace": self.namespace}} for o in objects]
        self.cluster.apply(items)

    def get(self, kind: str, name: str) -> Manifest | None:
        """One object; its conditions are checked each time."""
        return seen(self.cluster.get(kind, name, self.namespace))

    def list_all(self, kind: str, selector: str = "") -> list[Manifest]:
        """All objects of a kind."""
        chosen = ["-l", selector] if selector else []
        return list(json.loads(self.kube("get", kind, *chosen, "-o", "json"))["items"])

    def stub(self, name: str, data: str = "rows", behaviour: Behaviour | None = None, **spec: Any) -> Manifest:
        """A FineTuneJob for the stub trainer; its base model, which tells what to do, is put into the store."""
        asked = behaviour or Behaviour()
        with install.store_client(self.cluster) as (client, _):
            for file, content in asked.base().items():
                install.put(client, *layout.split_uri(asked.uri + file), content)
            record = record_of(asked.uri, asked.base())  # read already: a pod less for each behaviour
            key = layout.base_record_key(self.namespace, record.listing)
            install.put(client, install.BUCKET, key, record.model_dump_json(by_alias=True).encode())
        changes = {"from": {"base": asked.uri}, "profile": STUB_PROFILE, "resources": STUB_RESOURCES, "train": {}}
        return finetunejob(name, data, **changes | spec)

    @contextmanager
    def stub_profile(self, word: str, **spec: Any) -> Iterator[str]:
        """A TrainingProfile of the stub with other settings."""
        name = f"{word}-{self.namespace}"
        wanted = {"trainer": {"image": image("stubtrainer")}, **spec}
        self.cluster.apply({"apiVersion": API, "kind": "TrainingProfile", "metadata": {"name": name}, "spec": wanted})
        try:
            yield name
        finally:
            self.cluster.kube("delete", "trainingprofile", name)

    def patch(self, kind: str, name: str, spec: Manifest) -> None:
        """Merge patch of the spec."""
        self.kube("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def delete(self, kind: str, name: str) -> None:
        """kubectl delete, waiting for the end."""
        self.kube("delete", kind, name, "--wait", "--timeout=60s")

    def wait(
        self, kind: str, name: str, until: Callable[[Manifest], bool], seconds: float = 300, pause: float = 0.5
    ) -> Manifest:
        """Poll until the object satisfies `until`; the failure shows what it was last."""
        deadline, obj = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            obj = self.get(kind, name)
            if obj is not None and until(obj):
                return obj
            time.sleep(pause)
        story = self.kube("get", "events", "--sort-by=.lastTimestamp")
        told = ready_condition(obj or {})
        first = f"{kind} {name} after {seconds:.0f} s: {told.get('reason')}: {told.get('message')}"
        raise AssertionError(f"{first}\n{json.dumps((obj or {}).get('status'), indent=1)}\n{story}")

    def wait_ready(self, kind: str, name: str, seconds: float = 300) -> Manifest:
        """Until Ready is True for the present spec; at once an error when a human is needed."""

        def ready(obj: Manifest) -> bool:
            found = ready_condition(obj)
            assert not (is_current(obj) and is_stalled(obj)), f"{kind} {name} is stuck: {found}"
            return is_current(obj) and found.get("status") == "True"

        return self.wait(kind, name, ready, seconds)

    def wait_reason(self, kind: str, name: str, reason: str, seconds: float = 300) -> str:
        """Until Ready has this reason for the present spec; gives its message."""
        obj = self.wait(kind, name, lambda o: is_current(o) and ready_condition(o).get("reason") == reason, seconds)
        return str(ready_condition(obj)["message"])

    def predict(self, service: str, model: str, texts: list[str]) -> Manifest:
        """V1 prediction through the stable Service."""
        with self.cluster.forward(f"service/{service}", 80, self.namespace) as url:
            return post(f"{url}/v1/models/{model}:predict", {"instances": texts})

    def list_events(self, kind: str, name: str) -> list[str]:
        """Reason and message of each event about an object."""
        chosen = f"involvedObject.kind={kind},involvedObject.name={name}"
        found = json.loads(self.kube("get", "events", f"--field-selector={chosen}", "-o", "json"))["items"]
        return [f"{event['reason']}: {event['message']}" for event in found]

    def jobs_of(self, run: str) -> list[Manifest]:
        """Jobs of a run."""
        return self.list_all("jobs", f"modelyard.dev/run={run}")

    def pods_of(self, run: str) -> list[Manifest]:
        """Pods of a run."""
        return self.list_all("pods", f"modelyard.dev/run={run}")

    def stored_keys(self, prefix: str) -> list[str]:
        """Keys below a prefix of the installation's bucket."""
        with install.store_client(self.cluster) as (client, _):
            return [str(o.object_name) for o in client.list_objects(install.BUCKET, prefix=prefix, recursive=True)]

    def unfinished_uploads(self, prefix: str) -> list[str]:
        """Keys below a prefix of which parts are there, but no object yet; MinIO lists them for a whole bucket only."""
        with install.store_client(self.cluster) as (client, _):
            found = client._list_multipart_uploads(install.BUCKET)
        return [str(upload.object_name) for upload in found.uploads if upload.object_name.startswith(prefix)]

    def stored_json(self, key: str) -> Manifest:
        """A JSON object of the installation's bucket."""
        with install.store_client(self.cluster) as (client, _):
            return dict(json.loads(client.get_object(bucket_name=install.BUCKET, object_name=key).read()))


def post(url: str, body: Any) -> Manifest:
    """POST JSON, give the JSON answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return dict(json.load(response))


def is_stalled(obj: Manifest) -> bool:
    """A human is needed."""
    return any(c["type"] == "Stalled" for c in obj.get("status", {}).get("conditions", []))


def dataset(name: str, uri: str = "s3://data/tiny/rows.jsonl", **source: Any) -> Manifest:
    """A Dataset over the tiny rows."""
    resources = {"cpu": 0.3, "memory": "1Gi"}
    spec = {"task": "text-classification", "source": {"s3": {"uri": uri}, **source}, "resources": resources}
    return {"apiVersion": API, "kind": "Dataset", "metadata": {"name": name}, "spec": spec}


def finetunejob(name: str, data: str, **spec: Any) -> Manifest:
    """A FineTuneJob of a few seconds on the tiny base."""
    wanted = {
        "task": "text-classification",
        "from": {"base": BASE},
        "dataset": {"ref": data},
        "method": {"full": {}},
        "train": {"epochs": 3, "learningRate": 0.005},
        "input": {"text": {"maxLength": 32}},
        "resources": {"cpu": 0.8, "memory": "3Gi"},
        "evaluate": {"gate": {"require": [{"metric": "macro_f1", "min": 0.6}]}},
        **spec,
    }
    return {"apiVersion": API, "kind": "FineTuneJob", "metadata": {"name": name}, "spec": wanted}


def deployment(name: str, model: str, **model_fields: Any) -> Manifest:
    """A ModelDeployment that follows the latest passed version, or what `model_fields` say."""
    chosen = {"name": model, **(model_fields or {"follow": "latest-passed"})}
    spec = {"model": chosen, "serve": {"resources": {"cpu": 0.2, "memory": "1Gi"}}}
    return {"apiVersion": API, "kind": "ModelDeployment", "metadata": {"name": name}, "spec": spec}


def tiny_rows(count: int = 900) -> bytes:
    """The rows as JSON lines."""
    return json_lines(rows(count))
