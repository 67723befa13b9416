# Each target sets itself up on a machine that has only Python 3.11 and pip.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2
SEED ?= 1
MUTANTS ?= 1000
INPUTS ?= 1000000
LAB_RUNS ?= 1000000

.DEFAULT_GOAL := help
.PHONY: help demo test sweep bench spec mutants fuzz model lab check fmt grammar lock sbom audit dist clean

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

sweep: $(READY) ## the long runs: every kill point, thousands of random worlds
	@AUDSQL_SWEEP=1 $(BIN)/python -m pytest -n $(WORKERS) tests/properties tests/simulation tests/scenarios
	@$(BIN)/python tests/compile/sweep.py
	@$(BIN)/python tests/lab/lab_sweep.py --runs $(LAB_RUNS) --workers $(WORKERS)

bench: $(READY) ## evaluation over a million people against plain SQL in the same run; what `check` and compiling cost
	@$(BIN)/python tests/bench/bench_eval.py
	@$(BIN)/python tests/bench/bench_check.py
	@$(BIN)/python tests/bench/bench_compile.py
	@$(BIN)/python tests/bench/bench_plan.py

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

lab: $(READY) ## SEED=1: simulated applies with faults, 10000 of them, and the table of mutants
	@$(BIN)/python tests/lab/lab_sweep.py --mutants --runs 10000 --seed $(SEED) --workers $(WORKERS)

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

sbom: $(READY) ## a CycloneDX list of what audsql ships with, from the lock
	@$(BIN)/python tests/supply/sbom.py

audit: $(READY) ## the lock: pinned, hashed, nothing known to be bad, licences allowed; no network
	@$(BIN)/python tests/supply/sbom.py --audit

dist: $(READY) ## build the wheel and the source archive into dist/
	@$(BIN)/python -m build --no-isolation --outdir dist .

clean: ## remove everything that make made
	@rm -rf $(VENV) dist build bench-out demo-out .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
