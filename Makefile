# `make` lists the targets. Requires Python 3.11, Git and make; everything else is installed into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 5000
REFERENCE ?= ../shared/reference
JOBS ?= $(shell n=$$(nproc); echo $$((n < 8 ? n : 8)))
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# The name has a checksum of the inputs, so a changed lock triggers an installation.
LOCK := requirements/cpu.lock
STAMP := .venv/ready-$(shell cat $(LOCK) requirements/uv.lock pyproject.toml | cksum | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help setup pose-model repro check test test-all quick-tests remaining-tests parity lint format ui resolve tune seeds cross-validation remote register serve reproducible kill-test soak browse exp-report bench bench-gpu bench-street lock clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; \
		do printf '  %-22s %s\n' "make $$name" "$$text"; done

setup: $(STAMP)  ## create .venv from the hashed lock

repro: $(STAMP)  ## run the stale stages of the pipeline, then print scores and the paths of the results
	@if git rev-parse --git-dir >/dev/null 2>&1; then dvc config --local --unset core.no_scm 2>/dev/null || true; \
		else dvc config --local core.no_scm true; dvc config --local core.autostage false; fi
	@python -m tools dvc-locks
	dvc repro
	@fashionseg summary

# tests/README.md explains which test is in which of these.
TESTS = pytest -n $(JOBS) $(PYTEST_FLAGS)

check: $(STAMP)  ## lint and run the quick tests; under a minute
	@$(MAKE) --no-print-directory --output-sync=target -j2 lint quick-tests

test: $(STAMP)  ## run every test that needs only this environment; about 7 minutes on two idle cores
	$(TESTS) --dist worksteal -m "not (remote or reference or long)"

test-all: test remaining-tests  ## run all tests, with sshd, containers, Matterport's outputs and long runs

quick-tests: $(STAMP)
	$(TESTS) --dist worksteal -m "not (slow or remote or reference or long)"

# Tests of the GPU host share one host, so they run in one worker.
remaining-tests: $(STAMP)
	$(TESTS) --dist loadgroup -m "remote or reference or long"

parity: $(STAMP)  ## compare the model with stored outputs of Matterport's code; REFERENCE=DIR
	@python -m tools parity --reference "$(REFERENCE)"

.PHONY: docs
docs: $(STAMP)  ## build the documentation into site/; a dead link is an error
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict
	@echo "site/index.html"

lint: $(STAMP)  ## check style, types and the code dependencies in dvc.yaml
	ruff check .
	ruff format --check .
	python -m tools dvc-deps --check
	mypy

format: $(STAMP)  ## format the code and apply safe fixes
	ruff check --fix-only .
	ruff format .

ui: $(STAMP)  ## show the runs in MLflow; PORT=5000
	@mkdir -p .fashionseg/mlartifacts
	@fashionseg import-journals --uri "sqlite:///$(CURDIR)/.fashionseg/mlflow.db" || test $$? -ne 2
	@echo "MLflow: http://127.0.0.1:$(PORT), ready in about 10 s; Ctrl-C stops the server"
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true mlflow server \
		--backend-store-uri "sqlite:///$(CURDIR)/.fashionseg/mlflow.db" \
		--artifacts-destination "$(CURDIR)/.fashionseg/mlartifacts" \
		--host 127.0.0.1 --port $(PORT) --workers 1

resolve: $(STAMP)  ## finish a merge in which dvc.lock or reports/ conflict: run the stages for the merged params
	@fashionseg resolve

tune: $(STAMP)  ## search the space in tune.yaml with Optuna and DVC experiments; resumes an interrupted search
	@fashionseg tune

seeds: $(STAMP)  ## run a setting with several seeds as DVC experiments; SET="key=value ..." SEEDS=5
	@fashionseg seeds $(if $(SET),-S $(SET)) --seeds $(or $(SEEDS),5)

cross-validation: $(STAMP)  ## train and score all folds as DVC experiments; SET="key=value ..." FOLDS=5
	@fashionseg cross-validate $(if $(SET),-S $(SET)) --folds $(or $(FOLDS),5)

remote: $(STAMP)  ## set the storage of `dvc push` and `dvc pull`; URL=/folder, ssh://host/folder or s3://bucket/path
	@test -n "$(URL)" || { echo "error: expected URL=/folder, URL=ssh://user@host/folder or URL=s3://bucket/path" >&2; exit 2; }
	dvc remote add --force --default storage "$(URL)"

register: $(STAMP)  ## register the trained model in MLflow, and promote it to champion if it is better
	@fashionseg register

serve: $(STAMP)  ## serve the champion over HTTP on 127.0.0.1; PORT=5001
	@fashionseg serve --port $(if $(filter file default,$(origin PORT)),5001,$(PORT))

reproducible: $(STAMP)  ## run a tiny sample in two fresh clones and compare the hashes of all outputs
	@python -m tools reproducible

kill-test: $(STAMP)  ## kill -9 a tiny pipeline at random moments, resume, compare the hashes of all outputs; KILLS=20 SEED=1
	FASHIONSEG_KILLS=$(or $(KILLS),20) FASHIONSEG_KILL_SEED=$(or $(SEED),1) pytest -s tests/test_kill.py

soak: $(STAMP)  ## train a tiny network and serve it, check that memory and open files do not grow; MINUTES=60
	@python -m tools soak --minutes $(or $(MINUTES),60)

fuzz: $(STAMP)  ## fuzz all file readers and the HTTP endpoint with broken inputs; CASES=100000
	FASHIONSEG_FUZZ_CASES=$(or $(CASES),100000) pytest -q -s -p no:xdist --timeout 0 tests/fuzz

audit: $(STAMP)  ## write .fashionseg/sbom.json, and check the locked packages for known vulnerabilities
	@python -m tools audit

browse: $(STAMP)  ## write offline pages to look at the data set: photos with outlines, filtered by typing
	@fashionseg browse

exp-report: $(STAMP)  ## write an offline HTML page that compares runs; RUNS="name name"
	@fashionseg exp-report $(RUNS)

pose-model: $(STAMP)  ## fetch the model of body landmarks (36 MB wheel, read as data) into models/pose, for pose.model
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		--platform manylinux_2_28_x86_64 --python-version 3.11 \
		-r requirements/pose-model.txt -d .fashionseg/downloads
	@$(BIN)/python -m fashionseg.sources.pose_model .fashionseg/downloads/mediapipe-*.whl models/pose

bench: $(STAMP)  ## measure the speed of the parts against their targets (about 9 minutes on two idle cores)
	@python -m tools bench

# Both run without the locked environment: PYTHON=python3 with the packages in requirements/bench-gpu.in.
GPU_PYTHON = $(if $(and $(filter file,$(origin PYTHON)),$(wildcard $(STAMP))),python,$(PYTHON))

bench-gpu:  ## compare a training step on a GPU with torchvision's; needs requirements/bench-gpu.in, PYTHON=python3
	@PYTHONPATH=src $(GPU_PYTHON) -m tools bench gpu $(ARGS)

bench-street:  ## train this model and torchvision's for the same time on a GPU; PHOTOS=DIR in Kaggle's layout MINUTES=20
	@test -n "$(PHOTOS)" || { echo "error: expected PHOTOS=DIR, a folder in Kaggle's layout" >&2; exit 2; }
	@PYTHONPATH=src $(GPU_PYTHON) -m tools bench-street "$(PHOTOS)" \
		--minutes $(or $(MINUTES),20) $(ARGS)

lock: $(STAMP)  ## resolve requirements/*.in into the hashed locks
	for variant in uv cpu gpu; do \
		uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
			--override requirements/overrides.txt requirements/$$variant.in -o requirements/$$variant.lock || exit; \
	done

clean:  ## remove the environment and caches, keep data, models and experiments
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist dvc_plots
	find src tests tools remote -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP):
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "error: expected Python 3.11; set it with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python && $(BIN)/python -c 'import pip' || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes $(LOCK) requirements/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm -f .venv/ready-*
	@touch $@
