# Everything that CI does, and what a developer does by hand. `make check` is all of it.
PYTHON ?= python3.11
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
AFFEKT_DATA ?= $(abspath $(wildcard ../shared/data))
AFFEKT_WEIGHTS ?= $(abspath $(wildcard ../shared/weights))
export AFFEKT_DATA AFFEKT_WEIGHTS

.PHONY: setup check lint types test skips docs bench format clean

# Linting, types and docs side by side, each one's output in one piece; then tests on both cores.
check: setup
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint types docs
	@$(MAKE) --no-print-directory test skips

setup: .venv/ready
.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: setup
	$(BIN)/mypy

# One thread a process: processes use two cores better than threads do, and three use the waits.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist worksteal --durations 40 --cov --cov-report term

# Without real recordings and weights, every test that asks for them must be skipped, not fail.
skips: setup
	AFFEKT_DATA= AFFEKT_WEIGHTS= $(BIN)/pytest -m corpus --quiet

docs: setup
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build

bench: setup
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/speed_figure.py

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	git clean -dXf --quiet -e '!/runs/' -e '!/report/'
