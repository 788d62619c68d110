# The two commands: make demo, make test. Both set up what they need in .venv/.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check install format screenshot clean

demo: .venv/ready  ## the whole walk on the sample project
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo

test: .venv/ready-dev  ## all tests, with coverage
	@$(BIN)/coverage erase
	$(BIN)/pytest -n auto --cov --cov-report=term

check: .venv/ready-dev  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: .venv/ready-dev  ## everything for development

format: .venv/ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

screenshot: .venv/ready  ## the pictures in README (needs Chromium)
	$(BIN)/newsletter build 2016-04-22 -o build
	$(BIN)/python scripts/screenshot build/2016-04-22/email.html

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12 demo")'
	$(PYTHON) -m venv .venv

.venv/ready: setup.cfg | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/ready-dev: setup.cfg | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch .venv/ready $@

clean:
	rm -rf build dist .venv *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
