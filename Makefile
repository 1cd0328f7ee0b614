# Everything a user or a contributor runs. Each target makes .venv by itself if needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# An exact version lets pip take a CPU build that lies at hand; a range makes it fetch several GB of GPU libraries.
TORCH ?= torch==2.13.0

# Tests run side by side; each process needs some 3 GB.
TEST_PROCESSES ?= 2

.PHONY: demo test lint types docs docs-check bench check clean

demo: $(VENV)/user
	$(BIN)/python -m examples.demo

test: $(VENV)/dev
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev
	$(BIN)/mypy

# Quick, unless a record of docs/records is missing: then it is measured anew, which takes some seconds each.
docs: $(VENV)/dev
	$(BIN)/python -m docs.generate

docs-check: $(VENV)/dev
	$(BIN)/python -m docs.generate --check

bench: $(VENV)/dev
	$(BIN)/python -m pip install --quiet $(TORCH) --editable ".[dev,bench]"
	$(BIN)/python -m benchmarks.train $(BENCH)

check: lint types docs-check test

$(VENV)/user: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/dev: $(VENV)/user
	$(BIN)/python -m pip install --quiet $(TORCH) --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist
