# Two commands do all the set-up: `make demo` shows the program at work, `make test` checks everything.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

# What the tests of docs/examples and of the gallery start, and what those of editors and the gallery install from npm. Debian
# keeps nginx where only root's shell looks.
MISSING = $(strip $(foreach program,nginx caddy systemd-analyze chromium,\
  $(if $(shell PATH="$$PATH:/usr/sbin" command -v $(program)),,$(program))) \
  $(if $(shell test -x build/editor/node_modules/.bin/yaml-language-server && test -f build/browser/node_modules/axe-core/axe.min.js \
  && command -v node),,npm))
LEFT_OUT = $(foreach program,$(subst -,_,$(MISSING)),and not $(program))

.PHONY: demo test check torture mutants bench clean

demo: $(VENV)/.demo
	$(BIN)/seedbatch apply manifests/quickstart.yaml --sandbox --yes
	@echo
	@$(BIN)/seedbatch list --sandbox

test: check build/editor/.tried build/browser/.tried
	@$(if $(MISSING),echo "Left out: tests of docs/examples and editors and the gallery that need what is not installed here: $(MISSING)")
	$(BIN)/python -m pytest -n 2 --dist worksteal $(if $(MISSING),-k "test $(LEFT_OUT)")

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test
	$(BIN)/python bench/run.py

# Two thousand kills and two hundred of a listener, a hundred thousand histories, a million manifests, ten thousand tasks that
# nobody announces, and every crash point in every way: some hours.
torture: $(VENV)/.test
	SEEDBATCH_KILLS=334 SEEDBATCH_HISTORIES=100000 SEEDBATCH_MACHINE=10000 SEEDBATCH_CRASH=all SEEDBATCH_FUZZ=1000 SEEDBATCH_MANIFESTS=1000000 \
	SEEDBATCH_LISTENER_KILLS=200 SEEDBATCH_FIRE=10 SEEDBATCH_QUIET=10000 $(BIN)/python -m pytest -n 2 tests/proof tests/crash tests/engine/test_fuzz.py

# Two thousand small mistakes, one at a time, in what decides about money: see docs/mutants.md. An hour or so.
mutants: $(VENV)/.mutants
	$(BIN)/python -m mutmut run
	-$(BIN)/python -m mutmut results
	$(BIN)/python tests/proof/mutants.py

clean:
	rm -rf $(VENV) mutants .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "seedbatch needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[video]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# A language server and a schema for the tests that look at manifests as an editor does; a checker for those that look at the
# gallery as people do who cannot see it, or have no mouse. Without npm they are left out.
build/%/.tried: tests/acceptance/%/package-lock.json
	@mkdir -p $(@D) && cp $(<D)/package*.json $(@D)
	@-cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(VENV)/.mutants: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	@touch $@
