# `make demo` and `make test` start from a fresh clone and need nothing but Python, a network and two cores.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The version the demo was measured with; installed first so that nothing else decides on it.
TORCH ?= torch==2.13.0
SOURCES := $(shell find harness plugins conf -type f -not -name '*.pyc')
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo smoke test lint bench bench-llm bench-activations clean

help:
	@echo "make demo    install, run the demo benchmark (no API key, no model hub), print its leaderboard"
	@echo "make test    install, then lint, types and all tests"
	@echo "make smoke   install, run the two-minute benchmark without a language model"
	@echo "make lint    install, then ruff, mypy and the import contracts"
	@echo "make bench   install, run the benchmarks of speed and memory"
	@echo "make bench-llm  install, run those of the language model room (half an hour on an idle machine)"
	@echo "make bench-activations  install, run those of collecting activations and building records (half an hour)"
	@echo "make clean   remove the virtual environment and what tools left"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(TORCH)
	@touch $@

# Where the development install is there, it is the one that runs, and it is always up to date.
$(VENV)/.installed: pyproject.toml $(SOURCES) | $(VENV)/.torch
	[ -e $(VENV)/.dev ] || $(BIN)/python -m pip install --quiet .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.torch
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/harness run experiment=demo

smoke: $(VENV)/.installed
	$(BIN)/harness run experiment=smoke

# Two at a time: most tests wait for processes, servers and disks. In the order of the folders the long files come first
# and the short ones last, so that both end together; by itself xdist would begin with the files of many tests.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	@set -e; for script in benchmarks/*.py; do [ -e "$$script" ] || continue; echo "== $$script"; $(BIN)/python "$$script"; done

# A limit that is missed fails the whole, but hides none of the other figures.
bench-llm: $(VENV)/.dev
	@missed=0; for name in concurrency rate faults storm kills; do $(BIN)/python -m benchmarks.llm.$$name || missed=1; done; exit $$missed

bench-activations: $(VENV)/.dev
	@missed=0; for name in records collection memory; do $(BIN)/python -m benchmarks.activations.$$name || missed=1; done; exit $$missed

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
