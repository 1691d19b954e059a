# What every target needs: git, make and Python 3.11 or newer. Everything Python goes into .venv.
# PYTHON=/path/to/python chooses the Python; ARGUMENTS="-k cursor" is handed to pytest, the benchmarks or the demo.
# WORKERS=0 runs the suite in one process, WORKERS=4 in four that share the servers.

.DEFAULT_GOAL := help
.PHONY: demo test soak lint types docs bench clean help
# A path from outside could put another feedstore before the installed one.
unexport PYTHONPATH
# Without bytecode, every process of the tests would compile the modules that it imports.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory
# With -j, make already shares its jobs with the makes that it starts, and warns if one of them has a -j of its own.
three_jobs = $(if $(filter -j%,$(MAKEFLAGS)),,-j 3)

tools := --tools ruff mypy
# What the documentation's examples are run with.
frameworks := django fastapi
servers := --servers postgresql redis cassandra browser xmpp
# Started in tests/, so that no process that a test starts finds feedstore in its working folder instead of the wheel.
pytest := cd tests && ../.venv/bin/python -m pytest
ARGUMENTS ?=
WORKERS ?= 2

demo: ## Ingest real data into a SQLite file, show timelines, and name the command of an application for them
	@scripts/bootstrap --extras cli sse
	@.venv/bin/python examples/demo.py $(ARGUMENTS)

test: ## Lint, check types, build the documentation, and run the suite against the built wheel and real servers
	@scripts/bootstrap --extras cli docs test $(tools) $(frameworks) $(servers)
	@$(MAKE) $(three_jobs) lint types docs
	@$(pytest) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGUMENTS)

soak: ## The suite's sweeps with large counts
	@scripts/bootstrap --extras cli test --tools $(frameworks) $(servers)
	@export FEEDSTORE_SOAK=1; $(pytest) -m soak $(ARGUMENTS)

lint: ## Check style and docstrings with ruff
	@scripts/bootstrap $(tools)
	@.venv/bin/ruff check

types: ## Check types with mypy
	@scripts/bootstrap --extras cli test $(tools) $(frameworks)
	@.venv/bin/mypy

docs: ## Build the documentation into docs/_build, warnings as errors
	@scripts/bootstrap --extras cli docs
	@.venv/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build

bench: ## Measure every operation against the raw driver
	@scripts/bootstrap --extras cli postgresql redis cassandra
	@.venv/bin/python -m benchmarks $(ARGUMENTS)

clean: ## Remove what these targets made
	rm -rf .venv dist build docs/_build .mypy_cache .ruff_cache .pytest_cache tests/.hypothesis .hypothesis

help: ## Show this
	@sed -n 's/^\([a-z]*\): ## /\1	/p' Makefile | while IFS='	' read -r target text; do printf '  make %-6s %s\n' "$$target" "$$text"; done
