# Everything a contributor types. `make` alone lists it.
# Tools live in .venv, made from the hash-locked files in requirements/ the first time they are needed.

SHELL := /bin/bash
# The first Python on the path that is new enough; `make test PYTHON=python3.13` names another.
PYTHON ?= $(shell for p in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# What more to hand to pytest, the benchmark or the lock, e.g. ARGS="-k stream -x".
ARGS ?=
# Which other gateways the benchmark measures: all, or some, e.g. PEERS=litellm,portkey.
PEERS ?=
# What tests of the manifests ask, where it is there.
export GATEWAY_KUBECTL ?= $(shell command -v kubectl)
export GATEWAY_SYSTEMD_ANALYZE ?= $(shell command -v systemd-analyze)

.DEFAULT_GOAL := help
.PHONY: help run test check check-all soak bench lock docs sbom clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.run ## run the demo gateway: no key, no network, no configuration
	$(BIN)/gateway demo $(ARGS)

test: .venv/.dev clients ## run the whole suite
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.dev ## format, lint, types, architecture, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_documentation.py

check-all: check test ## all of it, then without asserts, in development mode with the loop watched, and long properties
	$(BIN)/python -O -m pytest -W "ignore:assertions not in test modules" $(ARGS)
	GATEWAY_LOOP_HELD_SECONDS=2 $(BIN)/python -X dev -m pytest -o asyncio_debug=true $(ARGS)
	$(BIN)/python -m pytest --hypothesis-profile=long -k "not journey" $(ARGS)

soak: .venv/.dev ## hold 2,000 streams for minutes, then make many short calls: what is left must be nothing
	$(BIN)/python -m benchmarks.soak $(ARGS)

bench: .venv/.dev ## measure beside nginx and, with PEERS=all, beside other gateways (needs nginx, wrk, cc, two cores)
	$(BIN)/python -m benchmarks $(if $(PEERS),--peers $(PEERS)) $(ARGS)

docs: .venv/.dev ## write what is generated from the code: docs/{configuration,validation,metrics}.md, config.schema.json, dashboards/boards/
	$(BIN)/python -m docs.generate
	$(BIN)/python -m dashboards.generate
	$(BIN)/python -m k8s.generate

lock: .venv/.dev ## pin every dependency anew with its hashes (ARGS=--upgrade for the newest versions)
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) pyproject.toml --extra redis --extra otel --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra redis -c requirements/dev.txt -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra redis --extra otel -c requirements/dev.txt -o requirements/image.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) --group sbom -o requirements/sbom.txt
	$(COMPILE) tests/sdk/requirements-legacy.in -o tests/sdk/requirements-legacy.txt
	$(COMPILE) examples/requirements.in -c requirements/dev.txt -o examples/requirements.txt

# One lock for every Python from 3.11 on and every platform.
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes $(ARGS)

sbom: .venvs/sbom/.ready .venvs/image/.ready ## write dist/gateway.cdx.json: what the image installs, as CycloneDX
	@mkdir -p dist
	sed "s/^dynamic = .*/version = \"$$(.venvs/image/bin/gateway --version | cut -d ' ' -f 2)\"/" pyproject.toml \
		> .venvs/sbom/pyproject.toml
	.venvs/sbom/bin/cyclonedx-py environment .venvs/image/bin/python --pyproject .venvs/sbom/pyproject.toml \
		--mc-type application --output-format JSON --output-reproducible --output-file dist/gateway.cdx.json

clean: ## remove what the other targets made
	rm -rf .venv .venvs tests/sdk/node/node_modules examples/node/node_modules build dist benchmarks/results \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The clients of tests that need an environment of their own: openai <1.0, the examples, and what runs on Node where
# there is Node.
.PHONY: clients
clients: .venv/.dev
	@for setup in tests/*/setup_*.sh; do [ ! -e "$$setup" ] || PYTHON=$(BIN)/python bash "$$setup" || exit 1; done

# What running needs, and what working on it needs: the second is a superset of the first.
.venv/.run: requirements/runtime.txt requirements/build.txt pyproject.toml | .venv/bin/pip
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.run
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

.venvs/sbom/.ready: requirements/sbom.txt | .venv/bin/pip
	$(BIN)/python -m venv .venvs/sbom
	.venvs/sbom/bin/pip install --quiet --require-hashes -r requirements/sbom.txt
	@touch $@

# As the Dockerfile does it: no pip, wheels alone, by their hashes.
.venvs/image/.ready: requirements/image.txt pyproject.toml $(wildcard gateway/*.py) | .venv/.run
	$(BIN)/python -m venv --clear --without-pip .venvs/image
	$(BIN)/pip --python .venvs/image/bin/python install --quiet --require-hashes --only-binary :all: \
		-r requirements/image.txt
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir .venvs/image/dist .
	$(BIN)/pip --python .venvs/image/bin/python install --quiet --no-deps .venvs/image/dist/*.whl
	@touch $@

.venv/bin/pip:
	@[ -n "$(PYTHON)" ] || { echo "The gateway needs Python 3.11 or newer: none was found on the path." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "The gateway needs Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) -V)." >&2; exit 1; }
	$(PYTHON) -m venv .venv
