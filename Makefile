# Two commands matter: `make demo` shows syncd at work, `make test` proves that it does. Both make `.venv` first.

PYTHON ?= python3
BIN := .venv/bin
MADE := .venv/.made-from-lock
RUNS := .venv/.made-to-run
WHICH = $(if $(T),$(T),-n 3 --dist loadgroup)
HASHED = .cache/lock/bin/uv --quiet --cache-dir .cache/lock/cache pip compile --generate-hashes --no-header --no-annotate \
	--python .cache/lock/bin/python
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Modules are compiled once, whatever the shell says: the tests start the program hundreds of times.
export PYTHONDONTWRITEBYTECODE :=

# Makes .venv from the lock $(1), or completes it; $(2) are options of pip.
define make-venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "syncd needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
@$(PYTHON) -c 'import ensurepip' || { echo 'python has no venv module: on Debian, apt-get install python3-venv' >&2; exit 1; }
@echo 'making .venv (once, and after the lock changes)'
@test -x $(BIN)/python || $(PYTHON) -m venv .venv
@$(PIP) install $(2) --require-hashes --requirement $(1)
@$(PIP) install --no-deps --no-build-isolation --editable .
@touch $@
endef

.DELETE_ON_ERROR:
.PHONY: help demo test coverage check lint types layers hooks docs site wheel-test aiohttp-contract mutants mutants-short campaign lock images clean

help:
	@echo 'make demo        mirror a small archive on this machine, then run the daemon with its page (ONCE=1: and end)'
	@echo 'make test        the whole test suite; T=tests/unit/test_plan.py::test_x runs that alone'
	@echo 'make coverage    the whole suite again, with its branch coverage and the ten modules that have least'
	@echo 'make check       lint, types and layers, in seconds: what a commit must pass'
	@echo 'make lint        ruff (rules and format) and the house rules (tests/lint)'
	@echo 'make types       mypy, strict'
	@echo 'make layers      who may import whom'
	@echo 'make hooks       let git run these checks before each commit (pre-commit)'
	@echo 'make docs        generate what follows from code: reference pages, tutorial output, schema, dashboards'
	@echo 'make site        build the documentation into ./site, and check that it needs no network'
	@echo 'make wheel-test  build the wheel, install it elsewhere, look inside'
	@echo 'make aiohttp-contract  test the http transport with the oldest and the newest allowed aiohttp'
	@echo 'make mutants     break each promise in a copy, and show that a test notices (15 minutes; mutants-short: 2)'
	@echo 'make soak        fifty mirrors, a hostile upstream and a daemon that is killed, for some minutes'
	@echo 'make campaign    a night of searching for unknown faults, in parts that resume (PART=simulation runs one)'
	@echo 'make lock        write both locks again from what the package index offers today'
	@echo 'make images      take the pictures of docs/images again (needs chromium and a font with Chinese)'
	@echo 'make clean       remove .venv, the caches, dist, demo and site'

# The environment is made again whenever the lock or the project file is younger than it.
$(MADE): requirements.lock pyproject.toml
	$(call make-venv,requirements.lock)

# The demo needs what an installation needs, a part of that. Modules are compiled when they are imported: few are.
$(RUNS): requirements-runtime.lock pyproject.toml
	$(call make-venv,requirements-runtime.lock,--no-compile)

demo: $(if $(wildcard $(MADE)),$(MADE),$(RUNS))
	@ONCE='$(ONCE)' $(BIN)/python deploy/demo

# With COVERAGE=1 the branch coverage is printed too, and the ten modules that have least of it. Of the whole suite, up to
# three tests that failed beside others run once more, alone (tests/alone.py); the last lines name those that then passed.
FAILED := .pytest_cache/v/cache/lastfailed .cache/failed-beside-others
PYTEST = $(BIN)/$(if $(COVERAGE),coverage run,python) -m pytest

test: $(MADE)
	@rm -f $(FAILED)
ifdef COVERAGE
	@mkdir -p .cache/coverage
	$(BIN)/coverage erase
endif
	$(PYTEST) $(WHICH)$(if $(T),, || $(BIN)/python -m tests.alone $$? $(PYTEST))
ifdef COVERAGE
	$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --sort=cover | sed -n '1,12p; $$p'
endif
	@cat .cache/failed-beside-others 2>/dev/null || true

coverage:
	@$(MAKE) --no-print-directory test COVERAGE=1

# ruff and mypy keep caches: a second run looks at what changed.
check: $(MADE)
	@began=$$(date +%s); $(MAKE) --no-print-directory lint types layers && echo "make check: passed in $$(($$(date +%s) - began)) s"

lint: $(MADE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.lint

types: $(MADE)
	$(BIN)/mypy

layers: $(MADE) .cache/layers-bite
	$(BIN)/lint-imports --no-logo

# That every contract fails on what it forbids is proved once, and again when a contract changes.
.cache/layers-bite: pyproject.toml tests/lint/layers.py | $(MADE)
	$(BIN)/python -m tests.lint.layers
	@mkdir -p .cache && touch $@

hooks: $(MADE)
	$(BIN)/pre-commit install

# A reader or a transport that is new in pyproject.toml is known once the project is installed again.
.venv/.entry-points: pyproject.toml | $(MADE)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

docs: $(MADE) .venv/.entry-points
	$(BIN)/python -m manifests.model.mirror
	$(BIN)/python -m syncd.metrics > docs/metrics.md
	$(BIN)/python -m syncd.cli.library > docs/sources.md
	$(BIN)/python -m syncd.api.table
	$(BIN)/python -m tests.promises > docs/promises.md
	$(BIN)/python deploy/grafana/build
	$(BIN)/python deploy/generate.py
	$(BIN)/python deploy/shell.py
	$(BIN)/python deploy/architecture.py
	$(BIN)/python deploy/site/reference.py
	$(BIN)/python deploy/site/tutorial.py

site: $(MADE)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python deploy/site/offline.py site

wheel-test: $(MADE)
	$(BIN)/python -m pytest tests/wheel/check_wheel.py

aiohttp-contract: $(MADE)
	$(BIN)/python -m tests.contracts.aiohttp_versions

mutants: $(MADE)
	$(BIN)/python -m tests.promises.mutants

mutants-short: $(MADE)
	$(BIN)/python -m tests.promises.mutants --short

soak: $(MADE)
	$(BIN)/python -m pytest -s tests/soak/check_soak.py

campaign: $(MADE)
	$(BIN)/python -m tests.campaign $(PART)

images: $(MADE)
	$(BIN)/python -m tests.browser.images

# What a fresh resolution gives, pinned, with the hashes of all files of each version: `pip install --require-hashes`
# takes no other, on any platform. syncd itself and pip are no part of it. requirements-runtime.lock is the part of it
# that an installation needs, with what builds the wheel and, for `make demo`, installs a checkout.
lock:
	rm -rf .cache/lock
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip --disable-pip-version-check --quiet install --upgrade pip
	.cache/lock/bin/python -m pip --quiet install --group dev --group docs --group validators '.[all]'
	.cache/lock/bin/python -m pip freeze --exclude syncd > .cache/lock/versions
	.cache/lock/bin/python -m pip --quiet install uv
	$(HASHED) --no-deps .cache/lock/versions --output-file .cache/lock/all
	printf 'hatchling\neditables\n' | $(HASHED) pyproject.toml - --extra all --constraint .cache/lock/versions --output-file .cache/lock/runtime
	{ echo '# Written by `make lock`: all that `make` installs, syncd itself apart.'; cat .cache/lock/all; } > requirements.lock
	{ echo '# Written by `make lock`: what an installation of syncd needs, and what builds it.'; \
	  cat .cache/lock/runtime; } > requirements-runtime.lock
	rm -rf .cache/lock

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist demo site
