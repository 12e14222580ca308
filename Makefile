# `make` alone says what there is. Works with GNU make 3.81 (macOS).

VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := .ci/environment
INPUTS := pyproject.toml constraints.txt $(ENVIRONMENT)

# Which tests, and how many at once: make test ARGS="-k retry" WORKERS=0
ARGS ?=
# Tests wait more than they compute: four keep two cores busy.
WORKERS ?= 4
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test faults check format bench picture clean

help:
	@echo "make demo     the whole story in a minute, nothing to set up"
	@echo "make test     the tests (RabbitMQ and PostgreSQL are started as needed)"
	@echo "make faults   the long tests: kill, break and overload things"
	@echo "make check    style, types and the floors"
	@echo "make format   put the style right"
	@echo "make bench    throughput beside other libraries"
	@echo "make picture  draw docs/monitor-*.svg from a real run"
	@echo "make clean    remove the environment and all caches"

demo: $(VENV)/.runtime
	@$(BIN)/warren demo $(ARGS)

test: $(VENV)/.dev
	@.ci/services
	@$(PYTEST) -m "not slow" $(ARGS)

faults: $(VENV)/.dev
	@.ci/services
	@$(PYTEST) --dist worksteal -m "slow or faults" $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Run: make format" >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks $(ARGS)

picture: $(VENV)/.runtime
	@$(BIN)/python docs/picture.py

$(VENV)/.runtime: $(INPUTS)
	@$(ENVIRONMENT) runtime

$(VENV)/.dev: $(INPUTS)
	@$(ENVIRONMENT) dev

$(VENV)/.bench: $(INPUTS)
	@$(ENVIRONMENT) bench

clean:
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
