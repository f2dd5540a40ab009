"""make demo: cluster, store, chart, then examples/01-sentiment from kubectl apply to predictions."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from examples.demo import install, report
from examples.demo.cluster import Cluster, embedded_cluster, image_references
from examples.demo.follow import FailedError, console, follow
from examples.demo.shell import ROOT, CommandError
from modelyard.api.modeldeployment import SERVING, version_in

T = TypeVar("T")
NAMESPACE = "demo"
MODEL = "sentiment"
timings: list[tuple[str, float]] = []


def main() -> int:
    """Run the demo; safe to run again, each step keeps what is there."""
    options = _options()
    try:
        demo(options)
    except (CommandError, FailedError) as fault:
        console.print(f"[red]{fault}[/red]")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--context", default="", help="kube context of a cluster of yours (default: the embedded one)")
    parser.add_argument("--registry", default="", help="registry that this cluster pulls from, for --context")
    parser.add_argument(
        "--store", default="", help="S3 endpoint for --context (default: a MinIO pod, needs --minio-image)"
    )
    parser.add_argument("--minio-image", default="minio/minio", help="MinIO image for --context")
    parser.add_argument("--rows", type=int, default=7500, help="tweets to learn from and test on")
    options = parser.parse_args()
    if options.context and not options.registry:
        parser.error("--context needs --registry: the cluster must pull the images from somewhere (REGISTRY=host)")
    return options


def demo(options: argparse.Namespace) -> None:
    """All steps in order."""
    cluster = step("cluster", lambda: target(options))
    images = step("images", lambda: image_references(cluster))
    step("object store", lambda: install.install_store(cluster, images.get("minio", options.minio_image)))
    step("base model and data", lambda: install.fill_store(cluster, options.rows))
    endpoint = f"http://minio.{install.STORE_NAMESPACE}.svc.cluster.local:9000"
    step("helm install", lambda: install.install_chart(cluster, images, endpoint))
    step("namespace and Secrets", lambda: install.prepare_namespace(cluster, NAMESPACE))
    cluster.kube("apply", "-n", NAMESPACE, "-f", str(ROOT / "examples" / "01-sentiment"))
    step("dataset prepared", lambda: follow(cluster, NAMESPACE, "dataset", MODEL))
    job = step("model trained, judged and stored", lambda: follow(cluster, NAMESPACE, "finetunejob", MODEL))
    number = int(job["status"]["version"].rsplit("-", 1)[1])
    served = step("version served", lambda: follow(cluster, NAMESPACE, "modeldeployment", MODEL, done=serves(number)))
    show(cluster, job, served)


def target(options: argparse.Namespace) -> Cluster:
    """The cluster to use."""
    return Cluster(context=options.context, registry=options.registry) if options.context else embedded_cluster()


def serves(number: int) -> Callable[[dict[str, Any]], bool]:
    """True for a deployment that serves this version."""
    return lambda obj: bool(version_in(obj["status"], SERVING).get("number") == number)


def step(title: str, work: Callable[[], T]) -> T:
    """Run a step with its title and time."""
    console.rule(f"[bold]{title}[/bold]", align="left")
    began = time.monotonic()
    result = work()
    timings.append((title, time.monotonic() - began))
    console.print(f"[green]done[/green] in {timings[-1][1]:.0f} s")
    return result


def show(cluster: Cluster, job: dict[str, Any], served: dict[str, Any]) -> None:
    """Predictions, quality, and what to try next."""
    version = cluster.get("modelversion", job["status"]["version"], NAMESPACE) or {}
    console.rule("[bold]result[/bold]", align="left")
    report.predict(cluster, NAMESPACE, served["metadata"]["name"], served["spec"]["model"]["name"])
    report.show_quality(version, report.run_report(cluster, version))
    report.save_page(cluster, version)
    console.print(f"version   {version['metadata']['name']}  ({version['status'].get('size')}, gate passed)")
    console.print(f"URL       {served['status']['url']}")
    show_next(cluster)
    for title, seconds in sorted(timings, key=lambda pair: -pair[1])[:5]:
        console.print(f"[dim]{seconds:6.0f} s  {title}[/dim]")
    console.print(f"[dim]{sum(s for _, s in timings):6.0f} s  in all[/dim]")


def show_next(cluster: Cluster) -> None:
    """Commands to copy; soft-wrapped, so that they stay commands."""
    lines = []
    if cluster.embedded:
        lines.append(f"export KUBECONFIG={cluster.kubeconfig} PATH={Path(cluster.kubectl).parent}:$PATH")
    lines += [
        f"kubectl -n {NAMESPACE} get modelyard",
        f'kubectl -n {NAMESPACE} patch ftj {MODEL} --type merge -p \'{{"spec":{{"train":{{"seed":8}}}}}}\'',
        f"kubectl -n {NAMESPACE} get ftj -w",
    ]
    console.print("\nTry next:")
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(main())
