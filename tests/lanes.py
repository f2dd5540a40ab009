"""make test: the lanes in order, each with its time; one closing line for all."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dev.localcluster import cluster

COUNTS = re.compile(r"(\d+) (passed|failed|xfailed|skipped|error)")
RED = re.compile(r"^(?:FAILED|ERROR) (\S+(?:\[.*?\])?)(?: - (.*))?$", re.MULTILINE)
WHOSE = re.compile(r"^(tests/\S+?::.+?): (the (?:cluster|product)'s.*)$", re.MULTILINE)
SLOW = re.compile(r"^\s*([\d.]+)s (?:call|setup|teardown)\s+(\S+)", re.MULTILINE)
SLOWEST = 10
LINE = re.compile(r"^\| ([\w-]+) \|.*\|$", re.MULTILINE)


@dataclass
class Result:
    """How a lane ended."""

    lane: str
    code: int
    seconds: float
    counts: dict[str, int]
    last_lines: str = ""
    red: dict[str, str] = field(default_factory=dict)
    """Test that failed -> whose fault it is, as far as the lane told or the cluster shows, and what it said."""
    slowest: list[tuple[float, str]] = field(default_factory=list)
    """Seconds and test."""


def main() -> int:
    """Run all lanes; a failed one does not keep the others from running."""
    parser = argparse.ArgumentParser(prog="make test", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every random fault point and real-size example too")
    parser.add_argument("--only", default="", help="comma-separated lanes")
    options = parser.parse_args()
    only = options.only.split(",") if options.only else list(LANES)
    if options.full:
        os.environ.setdefault("MODELYARD_SCENARIOS", "10000")
    results = run_lanes(only, options.full)
    table, code = summary(results)
    for broken in (result for result in results if result.code):
        print(f"\n==== {broken.lane} failed{whose(broken)}; its last lines ====\n{broken.last_lines}")
    print(closing(results) + "\n==== lanes, slowest first ====\n" + table)
    if options.full:
        page = Path("docs/test-full.md")
        page.write_text(full_page(results, page.read_text() if page.exists() else "", _where()))
    return code


def whose(broken: Result) -> str:
    """Where a lane's failure comes from, as far as the lane itself does not say it test by test."""
    return " (the cluster, not the product)" if broken.lane == "cluster-up" or not broken.seconds else ""


def closing(results: list[Result]) -> str:
    """The slowest tests of all lanes, and each red test with whose fault it is."""
    slowest = sorted((one for result in results for one in result.slowest), reverse=True)[:SLOWEST]
    lines = ["", "==== slowest tests ====", *(f"{seconds:7.0f} s  {test}" for seconds, test in slowest)]
    red = {test: told for result in results for test, told in result.red.items()}
    if red:
        lines += ["", "==== red: whose ====", *(f"{test}: {told}" for test, told in red.items())]
    return "\n".join(lines) + "\n"


def blamed(lane: str, output: str) -> dict[str, str]:
    """Each red test of a lane with whose fault it is; the cluster as it is now tells for the rest."""
    told, said = dict(WHOSE.findall(output)), dict(RED.findall(output))
    if said.keys() - told.keys() and lane in ON_THE_CLUSTER:
        broken = [f"{part} is {state}" for part, state in cluster.status().items() if state != "ready"]
        now = f"the cluster's: {', '.join(broken)}" if broken else "the product's or the test's: the cluster is whole"
    else:
        now = "the product's or the test's: no cluster is needed"
    return {name: f"{told.get(name, now)}\n    {said.get(name, '')}".rstrip() for name in {**told, **said}}


def run_lanes(names: list[str], full: bool) -> list[Result]:
    """Run the lanes in order; without a cluster nothing behind it is tried, and each such lane counts as failed."""
    results: list[Result] = []
    for name in names:
        if any(result.lane == "cluster-up" and result.code for result in results):
            results.append(Result(name, 1, 0, {}, "not run: cluster-up failed"))
        else:
            results.append(run_lane(name, LANES[name], full))
    return results


def run_lane(name: str, lane: Callable[[list[str]], tuple[int, str]], full: bool) -> Result:
    """One lane with its heading and time."""
    print(f"\n==== {name} ====", flush=True)
    began = time.monotonic()
    code, output = lane(["-m", "full or not full"] if full else ["-m", "not full"])
    lines = output.strip().splitlines()
    counts = {word: int(number) for number, word in COUNTS.findall(lines[-1] if lines else "")}
    result = Result(name, code, time.monotonic() - began, counts, "\n".join(lines[-25:]))
    result.slowest = [(float(seconds), test) for seconds, test in SLOW.findall(output)]
    result.red = blamed(name, output) if code else {}
    return result


def pytest(*paths: str) -> Callable[[list[str]], tuple[int, str]]:
    """A lane that runs pytest here."""
    return lambda options: _stream([sys.executable, "-m", "pytest", "-q", *paths, *options, "--durations=5"])


def image_pytest(image: str, path: str) -> Callable[[list[str]], tuple[int, str]]:
    """A lane that runs pytest inside an image, in a pod of the embedded cluster."""
    return lambda options: _stream(
        [sys.executable, "-m", "tests.in_image", image, path, "-q", *options, "--durations=5"]
    )


def trainer(options: list[str]) -> tuple[int, str]:
    """A lane: the trainer's tests in its image; what the real-size ones need of the network is fetched before."""
    if "not full" not in options:
        code, output = _stream([sys.executable, "-m", "tests.study.floor_rows"])
        if code:
            return code, output
    return image_pytest("trainer", "tests/trainer")(options)


def cluster_up(_: list[str]) -> tuple[int, str]:
    """A lane: the embedded cluster with all images; everything is cached outside the clone."""
    output = ""
    for words in (["up"], *(["image", name] for name in ("minio", "operator", "server", "trainer", "stubtrainer"))):
        code, output = _stream([sys.executable, "-m", "dev.localcluster", *words])
        if code:
            return code, output
    return 0, output


# Without the simulated lives: counting lines would double their time.
COVERAGE = ("--cov=operator/src/modelyard", "--cov-report=term:skip-covered")
LANES: dict[str, Callable[[list[str]], tuple[int, str]]] = {
    "unit": pytest("tests/unit", "-n", "2", *COVERAGE),
    "simulation": pytest("tests/simulation", "-s"),
    "cluster-up": cluster_up,
    "storage": pytest("tests/storage"),
    "api-server": pytest("tests/cluster"),
    "upgrade": pytest("tests/upgrade"),
    "server": image_pytest("server", "tests/server"),
    "trainer": trainer,
    "end-to-end": pytest("tests/e2e"),
}
ON_THE_CLUSTER = ("storage", "server", "trainer", "end-to-end")


def _stream(words: list[str]) -> tuple[int, str]:
    """Run a command, show its output as it comes (a dot per test, too), and keep it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "300"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, bufsize=0)
    assert process.stdout is not None
    kept = bytearray()
    while chunk := process.stdout.read(4096):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        kept += chunk
    return process.wait(), kept.decode(errors="replace")


def summary(results: list[Result]) -> tuple[str, int]:
    """The table of lanes, slowest first, with the closing line; and the exit code."""
    lines = []
    for result in sorted(results, key=lambda r: -r.seconds):
        counted = ", ".join(f"{n} {word}" for word, n in result.counts.items())
        lines.append(f"{result.seconds:7.0f} s  {'ok  ' if result.code == 0 else 'FAIL'}  {result.lane:12} {counted}")
    total = {
        word: sum(r.counts.get(word, 0) for r in results)
        for word in ("passed", "failed", "skipped", "xfailed", "error")
    }
    broken = total["failed"] + total["error"] + sum(1 for r in results if r.code and not r.counts.get("failed"))
    xfailed = f", {total['xfailed']} xfailed" if total["xfailed"] else ""
    lines.append(f"{total['passed']} passed, {broken} failed, {total['skipped']} skipped{xfailed}")
    return "\n".join(lines), 1 if broken else 0


def full_page(results: list[Result], before: str, where: str) -> str:
    """docs/test-full.md: the last full run of each lane, with its date, commit and machine.

    A lane that was not run now keeps its line of `before`, for all of them together take hours.
    """
    lines = {found[1]: found[0] for found in LINE.finditer(before) if found[1] in LANES}
    for result in results:
        counted = ", ".join(f"{number} {word}" for word, number in result.counts.items())
        verdict = "red" if result.code else "ok"
        lines[result.lane] = f"| {result.lane} | {verdict} | {counted} | {result.seconds:.0f} | {where} |"
    head = (
        "# Last `make test-full`\n\nEach lane with the tests that `make test` leaves out; "
        "`python -m tests.lanes --full --only LANE` runs one.\n\n"
        "| lane | | tests | seconds | run |\n|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines[name] for name in LANES if name in lines) + "\n"


def _where() -> str:
    """Date, commit and machine."""
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = int(next(line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))) // 2**20
    machine = f"{os.cpu_count()} cores ({model}), {memory} GiB, kernel {os.uname().release}"
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}, {machine}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


if __name__ == "__main__":
    sys.exit(main())
