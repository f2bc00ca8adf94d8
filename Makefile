# Everything that a contributor runs. `make` alone lists it.
# Needs Python 3.11 or newer, make and a C compiler; all else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# The build tools go into the environment too: kernels are then compiled once, not again each time
# in an environment of pip's own.
BUILD_TOOLS = $(BIN)/python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"]))'
INSTALL = $(BUILD_TOOLS) | $(PIP) --requirement /dev/stdin && $(PIP) --no-build-isolation --editable
SOURCES := setup.py $(shell find protos segcore -name '*.proto' -o -name '*.pyx' -o -name '*.pxd')

# The tools of the environment come first, so that `make` works without activating it.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo up test build protos lint format types contracts proto-lint tests bench clean

help: ## List what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | \
		awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(STAMPS)/demo ## See it work: a story from visit to message, then a year of real shopping
	@$(BIN)/coterie demo
	@echo
	@$(BIN)/coterie replay --demo

up: $(STAMPS)/demo ## Run all services on this machine, until Ctrl-C
	@$(BIN)/coterie up

test: build lint types contracts proto-lint tests ## Check everything, as CI does
	@echo "all checks passed"

build: $(STAMPS)/built ## Build stubs and kernels into the checkout, with all tools
	@echo "built"

protos: $(STAMPS)/dev ## Write the gRPC stubs again
	@$(BIN)/python setup.py --quiet protos

lint: $(STAMPS)/dev ## Check style and format
	@echo "checking style"
	@ruff check --quiet .
	@ruff format --quiet --check . || { echo "run 'make format'"; exit 1; }

format: $(STAMPS)/dev ## Format the sources
	@ruff format .

types: $(STAMPS)/built ## Check types
	@echo "checking types"
	@mypy --no-error-summary

contracts: $(STAMPS)/built ## Check who may import whom
	@echo "checking imports"
	@lint-imports >$(STAMPS)/contracts.log 2>&1 || { cat $(STAMPS)/contracts.log; exit 1; }

proto-lint: $(STAMPS)/dev ## Check the protos: their style, and that they break no caller
	@echo "checking protos"
	@buf lint
	@tools/proto_breaking

tests: $(STAMPS)/built ## Run the tests
	@echo "running the tests"
	@$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0
	@$(BIN)/python -m pytest --doctest-modules services segcore

bench: $(STAMPS)/built ## Measure: one table a question
	@for file in tests/bench/*.py; do echo "$$file"; $(BIN)/python $$file || exit 1; done

clean: ## Remove what was built, and the environment
	@rm -rf $(VENV) build dist coterie *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find segcore -name '*.so' -delete -o -name '_*.c' -delete

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Coterie needs Python 3.11 or newer; found $$($(PYTHON) --version). Try make PYTHON=python3.11"; exit 1; }
	@echo "creating the environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: pyproject.toml | $(STAMPS)/venv
	@echo "installing Coterie with its tools: one or two minutes, the first time only"
	@$(INSTALL) '.[dev,demo]'
	@touch $@ $(STAMPS)/demo

$(STAMPS)/demo: pyproject.toml $(SOURCES) | $(STAMPS)/venv
	@echo "installing Coterie: about a minute, the first time only"
	@$(INSTALL) '.[demo]'
	@touch $@

$(STAMPS)/built: $(SOURCES) $(STAMPS)/dev
	@echo "building stubs and kernels"
	@$(BIN)/python setup.py --quiet protos build_ext --inplace
	@touch $@
