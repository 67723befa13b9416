# Each target sets itself up on a machine that has only Python 3.11 and pip.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One more than the cores of a small machine: tests often wait for the disk.
WORKERS ?= 3
SEED ?= 1
MUTANTS ?= 1000
INPUTS ?= 1000000
# A run has four applies with faults, about: a million of these.
LAB_RUNS ?= 250000
LAB_FROM ?= 0
# A year of a shop with 200 flows and deliveries; each is a seed.
YEARS ?= 2
YEARS_FROM ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test spark sweep bench spec mutants fuzz model lab check fmt grammar lock sbom audit dist clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The lock holds every package with its hashes; audsql itself is installed so that edits take effect.
$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## run the example shop against the simulator
	@$(BIN)/python examples/shop/demo.py

test: $(READY) ## style, types and all tests
	@$(BIN)/ruff check src tests examples
	@$(BIN)/ruff format --check src tests examples
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n $(WORKERS)

# Spark is 450 MB: it has an environment of its own and a lock of its own, and needs Java 17 or newer.
SPARK_VENV := .venv-spark
SPARK_READY := $(SPARK_VENV)/.ready
$(SPARK_READY): requirements-spark.lock pyproject.toml
	@test -x $(SPARK_VENV)/bin/python || $(PYTHON) -m venv $(SPARK_VENV)
	@echo "installing the locked packages and Spark into $(SPARK_VENV)"
	@$(SPARK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-spark.lock
	@$(SPARK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

spark: $(SPARK_READY) ## the engines' suite on Spark (450 MB, needs Java 17)
	@SPARK_LOCAL_IP=127.0.0.1 $(SPARK_VENV)/bin/python -m pytest tests/engines -k spark -rs

sweep: $(READY) ## the long runs: every kill point, thousands of random worlds, years of flows
	@AUDSQL_SWEEP=1 $(BIN)/python -m pytest -n $(WORKERS) tests/properties tests/simulation tests/scenarios tests/engines \
		tests/year
	@$(BIN)/python tests/year/year_sweep.py --years $(YEARS) --from $(YEARS_FROM) --workers $(WORKERS)
	@$(BIN)/python tests/compile/sweep.py
	@$(BIN)/python tests/lab/lab_sweep.py --runs $(LAB_RUNS) --from $(LAB_FROM) --workers $(WORKERS)

bench: $(READY) ## evaluation over a million people against plain SQL in the same run; what `check` and compiling cost
	@$(BIN)/python tests/bench/bench_eval.py
	@$(BIN)/python tests/bench/bench_scale.py $(PEOPLE)
	@$(BIN)/python tests/bench/bench_check.py
	@$(BIN)/python tests/bench/bench_compile.py
	@$(BIN)/python tests/bench/bench_plan.py
	@$(BIN)/python tests/bench/bench_phones.py
	@$(BIN)/python tests/bench/bench_personal.py

spec: $(READY) ## the runnable cases of the language's rules, and what they cover
	@$(BIN)/python -m pytest -n $(WORKERS) tests/spec tests/test_catalog.py
	@$(BIN)/python tests/spec/conformance.py
	@$(BIN)/python tests/spec/conformance.py --counts

mutants: $(READY) ## MUTANTS=1000 SEED=1: small changes of the language's code, and whether a test fails
	@$(BIN)/python tests/mutants/run_mutants.py --mutants $(MUTANTS) --seed $(SEED) --workers $(WORKERS) \
		--out bench-out/mutants.txt

fuzz: $(READY) ## INPUTS=1000000 SEED=1: bent texts and raw bytes for check, fmt, diff and explain
	@$(BIN)/python tests/fuzz/run_fuzz.py --inputs $(INPUTS) --seed $(SEED) --workers $(WORKERS)

model: $(READY) ## the model of the send protocol and its known-bad variants (needs spin and gcc)
	@$(BIN)/python tests/lab/run_model.py

lab: $(READY) ## SEED=1 LAB_RUNS=250000 LAB_FROM=0: a million simulated applies with faults, and the table of mutants
	@$(BIN)/python tests/lab/lab_sweep.py --mutants --runs $(LAB_RUNS) --seed $(SEED) --from $(LAB_FROM) \
		--workers $(WORKERS)

check: $(READY) ## check every example
	@for file in examples/*/audsql.toml; do $(BIN)/audsql check --project "$$(dirname "$$file")" || exit 1; done

fmt: $(READY) ## format the code and the examples
	@$(BIN)/ruff check --fix --quiet src tests examples
	@$(BIN)/ruff format src tests examples
	@for file in examples/*/audsql.toml; do $(BIN)/audsql fmt --project "$$(dirname "$$file")" || exit 1; done

grammar: $(READY) ## make the parse table and the editors' grammar anew after an edit
	@$(BIN)/python -c "from audsql.syntax.table import table_text; print(table_text(), end='')" > grammar/.table.tmp
	@mv grammar/.table.tmp grammar/audsql.table.json
	@$(BIN)/python -c "from audsql.highlight import textmate_text; print(textmate_text(), end='')" > grammar/.textmate.tmp
	@mv grammar/.textmate.tmp grammar/audsql.tmLanguage.json

lock: $(READY) ## write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --quiet -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra dev --extra spark --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --constraint requirements.lock --quiet -o requirements-spark.lock

sbom: $(READY) ## a CycloneDX list of what audsql ships with, from the lock
	@$(BIN)/python tests/supply/sbom.py

audit: $(READY) ## the lock: pinned, hashed, nothing known to be bad, licences allowed; no network
	@$(BIN)/python tests/supply/sbom.py --audit

dist: $(READY) ## build the wheel and the source archive into dist/
	@$(BIN)/python -m build --no-isolation --outdir dist .

clean: ## remove everything that make made
	@rm -rf $(VENV) $(SPARK_VENV) dist build bench-out demo-out .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
