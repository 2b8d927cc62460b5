# Everything a developer or a first-time user runs. `make` alone explains itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
UV_PIP := $(BIN)/uv pip install --quiet --python $(BIN)/python
FER_TUNE := $(BIN)/fer-tune

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The virtual environment is made once; it is brought up to date only when the lock or pyproject.toml is newer.
.PHONY: setup
setup: $(STAMP) ## Install the locked versions and fer-tune itself into .venv (done by the others when needed)

$(STAMP): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "setting up $(VENV) (the first time downloads some gigabytes)"
	@$(UV_PIP) --requirements requirements.lock
	@$(UV_PIP) --no-deps --editable .
	@# Byte code now and in parallel: else the first commands compile thousands of files each, and on a slow machine
	@# Ray's daemons miss the 15 seconds that they have to start. Files that no Python 3.11 reads are no fault.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "fer-tune needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'

.PHONY: demo
demo: $(STAMP) ## Search, refit, test and report on an embedded dataset, into demo/ (a few minutes on 2 cores)
	@rm -rf demo
	$(FER_TUNE) demo --out demo

.PHONY: test
test: $(STAMP) ## Run the quick tests
	@$(BIN)/pytest -m "not slow and not gpu" --numprocesses 2

.PHONY: test-slow
test-slow: $(STAMP) ## Run the slow tests: Ray clusters of their own, jobs, whole searches
	@$(BIN)/pytest -m "slow and not gpu"

.PHONY: test-gpu
test-gpu: $(STAMP) ## Run the tests that need a GPU
	@$(BIN)/pytest -m gpu

.PHONY: lint
lint: $(STAMP) ## Check style, types and the direction of imports
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "not formatted; run: make format"; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(STAMP) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format --quiet

# Those that want a dataset, weights or a GPU are started by hand, and the rest are parts of others.
BY_HAND := counted_store freeze_accuracy gpu over_images part_of replaying reproduced searched surrogate ways

.PHONY: bench
bench: $(STAMP) ## Measure speed and memory (tests/benchmarks)
	@set -e; for script in $(filter-out $(BY_HAND:%=tests/benchmarks/%.py),$(wildcard tests/benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script"; done

.PHONY: lock
lock: $(STAMP) ## Resolve the versions anew into requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header \
		--group dev --extra dashboard --extra onnx --extra workspace pyproject.toml --output-file requirements.lock

.PHONY: clean
clean: ## Remove the demo, caches and builds; keeps .venv, data/ and runs/
	@rm -rf demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
