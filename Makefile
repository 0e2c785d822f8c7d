.PHONY: demo test bench fmt setup lock

PYTHON ?= python3
STAMP := .venv/.ready

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	"$(PYTHON)" -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)
