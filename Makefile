# Modelyard. `make help` lists the targets; everything that is long is cached outside the clone and safe to run again.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export MODELYARD_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/modelyard
export UV_PYTHON_DOWNLOADS := never
UV_VERSION := 0.13.9
UV := $(MODELYARD_CACHE)/uv-$(UV_VERSION)/bin/uv
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/ready ## The main job end to end (CONTEXT=name REGISTRY=host: on a cluster of yours)
	$(PYTHON) -m examples.demo $(if $(CONTEXT),--context $(CONTEXT) --registry "$(REGISTRY)") $(DEMO_OPTIONS)

test-fast: .venv/ready ## Unit tests and 100 simulated scenarios; no cluster, builds nothing, under a minute
	MODELYARD_BUILDS=no MODELYARD_SCENARIOS=100 $(PYTEST) tests/unit tests/simulation -q -n 2 -m "not full"

test: .venv/ready ## All tests but the long random lanes; prints the slowest steps
	$(PYTHON) -m tests.lanes

record-baseline: .venv/ready ## Record anew, at a release, what an upgrade must leave alone; refused where it would break recorded definitions
	$(PYTHON) -m tests.upgrade.record

test-full: .venv/ready ## All tests, with every random fault point and real-size example; writes docs/test-full.md
	$(PYTHON) -m tests.lanes --full

define EXPORT_REQUIREMENTS
	for extra in trainer server; do \
	  $(UV) export --quiet --frozen --no-dev --extra $$extra --no-emit-project --no-hashes --no-header --no-annotate \
	    -o $(1)/$$extra.txt >/dev/null; done
endef

verify: .venv/ready ## Generated files up to date, ruff, mypy, import contracts, lock file and its licences
	$(PYTHON) -m modelyard generate --check
	$(UV) lock --check --quiet
	@mkdir -p build/requirements; $(call EXPORT_REQUIREMENTS,build/requirements); \
	  diff -r build/requirements trainer-image/requirements || { echo "stale: run make generate"; exit 1; }
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check --quiet
	$(PYTHON) -m mypy
	.venv/bin/lint-imports --no-cache
	$(PYTHON) -m dev.supply licenses

generate: .venv/ready ## Write CRDs, chart permissions and the API reference from the models; format the code
	$(PYTHON) -m modelyard generate
	$(call EXPORT_REQUIREMENTS,trainer-image/requirements)
	$(PYTHON) -m ruff check --fix --quiet
	$(PYTHON) -m ruff format --quiet

licenses: .venv/ready ## Bring the table of licences up to date with the lock file
	UV=$(UV) $(PYTHON) -m dev.supply write-licenses

audit: .venv/ready ## Bill of materials and known vulnerabilities, written to docs/audit.md (error 3: database away)
	UV=$(UV) $(PYTHON) -m dev.supply audit

bench: .venv/ready ## Figures beside the machine's own limits, written to docs/bench.json and docs/bench.md
	$(PYTHON) -m dev.bench

cluster: .venv/ready ## Bring up the embedded single-node cluster
	$(PYTHON) -m dev.localcluster up

cluster-down: ## Stop the embedded cluster; caches stay
	python3 -m dev.localcluster down

clean-all: ## Stop the cluster and give all disk back: caches, state, .venv
	python3 -m dev.localcluster clean-all
	rm -rf .venv "$(MODELYARD_CACHE)"

.venv/ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --extra operator
	@touch $@

$(UV):
	@command -v python3 >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv ca-certificates git >/dev/null; }
	python3 -m venv $(MODELYARD_CACHE)/uv-$(UV_VERSION)
	$(MODELYARD_CACHE)/uv-$(UV_VERSION)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: help demo test-fast test record-baseline test-full verify generate licenses audit bench cluster cluster-down clean-all
