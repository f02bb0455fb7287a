# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: demo test study lint bench setup setup-test clean

demo: setup ## run the main job on the packaged preset, print the verdict and the report's path
	$(BIN)/curate demo

# A file's tests stay in one process, so that they share its runs. WORKERS=1 uses no second process.
WORKERS ?= 2
PARALLEL := $(if $(filter-out 1,$(WORKERS)),-n $(WORKERS) --dist loadfile --no-loadscope-reorder)

test: setup-test ## every test, doctests included
	$(BIN)/python -m pytest $(PARALLEL)

study: setup-test ## the long simulations: coverage, power, error rates
	$(BIN)/python -m pytest -m study

lint: setup-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup-test ## speed and accuracy against the peers; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

bench-%: setup-test ## one benchmark, e.g. `make bench-duplicates`
	$(BIN)/python -m benchmarks.$*

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test

$(VENV)/.installed: pyproject.toml
	@echo "installing into $(VENV): a minute or two, and pip says nothing while it works"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

# Torch first and pinned: the CPU build is enough for the tests, and the smallest download.
$(VENV)/.installed-test: $(VENV)/.installed constraints-test.txt
	$(PIP) --constraint constraints-test.txt torch
	$(PIP) --constraint constraints-test.txt --editable '.[train,language,repair,dev]'
	touch $@

clean:
	rm -rf $(VENV)
