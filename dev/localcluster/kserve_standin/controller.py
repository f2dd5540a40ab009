"""The loop: looks at everything twice a second, applies what should be, reports what is."""

import sys
import time
import traceback
import urllib.error
from pathlib import Path

from dev.localcluster.kserve_standin import predictor, status
from dev.localcluster.kserve_standin.api import Api, Manifest
from dev.localcluster.kserve_standin.crds import GROUP

PAUSE = 0.5
OURS = "labelSelector=serving.kserve.io/inferenceservice"
Named = dict[str, Manifest]


class Impossible(Exception):
    """Nothing can be made of an InferenceService: a reason and a message as KServe gives them."""


def run(kubeconfig: Path) -> None:
    """Look until the process ends."""
    api, done = Api(kubeconfig), dict[str, Manifest]()
    while True:
        try:
            look(api, done)
        except (OSError, KeyError) as fault:
            traceback.print_exception(fault, file=sys.stdout)
        sys.stdout.flush()
        time.sleep(PAUSE)


def look(api: Api, done: dict[str, Manifest]) -> None:
    """Once over all InferenceServices; `done` remembers what was applied (path -> manifest)."""
    services = api.list(f"/apis/{GROUP}/v1beta1/inferenceservices")
    runtimes = _by_name(api.list(f"/apis/{GROUP}/v1alpha1/clusterservingruntimes"))
    fetchers = _by_name(api.list(f"/apis/{GROUP}/v1alpha1/clusterstoragecontainers"))
    live = {_path(found): found for found in _deployments(api)}
    for service in services:
        if "deletionTimestamp" not in service["metadata"]:
            _reconcile(api, service, runtimes, fetchers, live, done)


def _reconcile(
    api: Api, service: Manifest, runtimes: Named, fetchers: Named, live: Named, done: dict[str, Manifest]
) -> None:
    try:
        runtime, fetch = _runtime(service, runtimes), _fetcher(service, fetchers)
    except Impossible as fault:
        _report(api, service, status.of_fault(service, *fault.args))
        return
    wanted = predictor.deployment(service, runtime, fetch)
    for manifest in (wanted, predictor.service_of(service, runtime)):
        path = _path(manifest)
        gone = manifest["kind"] == "Deployment" and path not in live
        if gone or done.get(path) != manifest:
            live[path] = api.apply(path, manifest)
            done[path] = manifest
            print(f"applied {path}")
    _report(api, service, status.of_deployment(service, live.get(_path(wanted))))


def _runtime(service: Manifest, runtimes: Named) -> Manifest:
    model = service["spec"]["predictor"]["model"]
    found = runtimes.get(model.get("runtime", ""))
    if found is None:
        raise Impossible("RuntimeNotRecognized", "Waiting for runtime to become available")
    if model["modelFormat"]["name"] not in [known["name"] for known in found["spec"]["supportedModelFormats"]]:
        raise Impossible("NoSupportingRuntime", "Specified runtime does not support specified framework/version")
    return found


def _fetcher(service: Manifest, fetchers: Named) -> Manifest:
    uri = service["spec"]["predictor"]["model"]["storageUri"]
    name = service["spec"]["predictor"].get("storageContainerName", "")
    found = [fetchers[name]] if name in fetchers else [] if name else list(fetchers.values())
    for container in found:
        if any(uri.startswith(form.get("prefix", "\0")) for form in container["spec"]["supportedUriFormats"]):
            return container
    raise Impossible("InvalidPredictorSpec", f"no ClusterStorageContainer supports {uri}")


def _report(api: Api, service: Manifest, wanted: Manifest) -> None:
    if service.get("status") == wanted:
        return
    meta = service["metadata"]
    path = f"/apis/{GROUP}/v1beta1/namespaces/{meta['namespace']}/inferenceservices/{meta['name']}/status"
    try:
        api.merge(path, {"status": {**dict.fromkeys(service.get("status", {})), **wanted}})
    except urllib.error.HTTPError as fault:
        print(f"{path}: {fault}")


def _deployments(api: Api) -> list[Manifest]:
    found = api.list(f"/apis/apps/v1/deployments?{OURS}")
    return [{**item, "kind": "Deployment", "apiVersion": "apps/v1"} for item in found]


def _by_name(found: list[Manifest]) -> Named:
    return {item["metadata"]["name"]: item for item in found}


def _path(manifest: Manifest) -> str:
    meta = manifest["metadata"]
    if manifest["kind"] == "Deployment":
        return f"/apis/apps/v1/namespaces/{meta['namespace']}/deployments/{meta['name']}"
    return f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}"


if __name__ == "__main__":
    run(Path(sys.argv[1]))
