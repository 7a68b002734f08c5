PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two cores are enough for three: the tests wait for servers, timeouts and other processes 40 % of their time.
JOBS ?= 3
# Progress on a terminal, silence in a log. Every package must have a hash that the file lists.
PIP_INSTALL = @quiet=; [ -t 1 ] || quiet=--quiet; $(BIN)/python -m pip install $$quiet --disable-pip-version-check --require-hashes
# `make lock` keeps every pinned version; `make lock LOCK="--upgrade-package fastapi"` or `LOCK=--upgrade` moves them.
LOCK ?=
# `huggingface` brings PyTorch with 2 GB, which the tests do without.
TESTED_EXTRAS := milvus chroma multilingual gemini ollama
EXTRAS := $(TESTED_EXTRAS) huggingface
UV_COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(LOCK) pyproject.toml

.PHONY: run setup lock lock-integrations integrations wheel milvus-server test test-long test-encrypted test-kills test-supabase check format bench clean

run: $(VENV)/.installed
	$(BIN)/python -m app serve

setup: $(VENV)/.installed $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Keepsake needs Python 3.11 or newer: set PYTHON=/path/to/python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what requirements.txt names (550 MB on disk, a minute or two on a fast connection) ..."
	$(PIP_INSTALL) -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@echo "Installing the tools that requirements-dev.txt names (about another minute) ..."
	$(PIP_INSTALL) -r requirements-dev.txt
	touch $@

lock: setup
	$(UV_COMPILE) --output-file requirements.txt
	$(UV_COMPILE) --extra dev $(TESTED_EXTRAS:%=--extra %) --constraints requirements.txt --output-file requirements-dev.txt
	for extra in $(EXTRAS); do \
	  $(UV_COMPILE) --extra $$extra --constraints requirements.txt --output-file deploy/requirements/$$extra.txt || exit 1; \
	done

wheel: setup
	$(BIN)/python -m pip wheel . --no-deps --no-build-isolation --wheel-dir dist

# The real server for `make test-long`, in a folder of its own because it is old.
milvus-server: .milvus-server/milvus

.milvus-server/milvus: $(VENV)/.installed
	$(PIP_INSTALL) --no-deps --target .milvus-server -r tests/contracts/milvus-server.txt

# mem0's integrations for Python, of which some need mem0ai 1 and others mem0ai 2: an environment for each.
integrations: .integrations/mem0_1/.installed .integrations/mem0_2/.installed

.integrations/mem0_2/.installed: tests/e2e/mem0_2/pipecat.txt
.integrations/%/.installed: tests/e2e/%/requirements.txt $(VENV)/.installed-dev
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .integrations/$*
	$(BIN)/uv pip install --quiet --python .integrations/$*/bin/python --require-hashes -r $<
	test ! -f tests/e2e/$*/pipecat.txt || \
	  $(BIN)/uv pip install --quiet --python .integrations/$*/bin/python --require-hashes --no-deps -r tests/e2e/$*/pipecat.txt
	touch $@

lock-integrations: setup
	for name in mem0_1 mem0_2; do \
	  UV_CUSTOM_COMPILE_COMMAND="make lock-integrations" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes $(LOCK) tests/e2e/$$name/requirements.in --output-file tests/e2e/$$name/requirements.txt || exit 1; \
	done
	UV_CUSTOM_COMPILE_COMMAND="make lock-integrations" $(BIN)/uv pip compile --quiet --no-deps --universal --python-version 3.11 \
	  --generate-hashes $(LOCK) tests/e2e/mem0_2/pipecat.in --output-file tests/e2e/mem0_2/pipecat.txt

test: setup
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "not long" --cov

test-long: setup milvus-server
	$(BIN)/python -m pytest -q -m long

# The suites of memories and chats with every project encrypted. Tests that look for plain text in tables are left out.
test-encrypted: export CONTENT_KEYS = the master key of the tests which is long enough
test-encrypted: export ENCRYPT_NEW_PROJECTS = true
test-encrypted: setup
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "not long and not plain_rows" tests/memory tests/chat tests/gateways tests/contracts

# Prints its figures. `make test-long` kills 12 times.
test-kills: KILLS ?= 100
test-kills: setup
	KILLS=$(KILLS) $(BIN)/python -m pytest -q -s -m long tests/faults/test_kills.py

# Builds GoTrue, or takes the one of GOTRUE=/path/to/auth or GOTRUE_SOURCE=/path/to/checkout. Writes its columns into docs/supabase.md.
test-supabase: setup
	test -d tests/e2e/js/node_modules || npm ci --silent --prefix tests/e2e/js
	SUPABASE_LIVE=gotrue WRITE_TABLE=1 $(BIN)/python -m pytest -q tests/supabase_live

check: setup
	$(BIN)/ruff format --check app tests bench examples
	$(BIN)/ruff check app tests bench examples
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: setup
	$(BIN)/ruff format app tests bench examples
	$(BIN)/ruff check --fix app tests bench examples

bench: setup
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .integrations dist .mypy_cache .ruff_cache .pytest_cache
