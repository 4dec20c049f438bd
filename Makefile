# The suite's commands; `make` alone is the menu.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
POSTGRES_15 ?= /usr/lib/postgresql/15/bin
DATABASE_TESTS := tests/test_load.py tests/test_real_data.py tests/test_bulk.py tests/test_hourly.py tests/test_roles.py \
	tests/test_backup.py tests/dashboard/test_report.py tests/etlkit/test_postgres.py tests/etlkit/test_rejects.py
LIVE_TESTS := $(addprefix tests/live/test_consumer.py::test_, poison_is_kept_and_the_stream_goes_on \
	reading_from_the_beginning_brings_back_what_was_deleted_and_moves_no_offset_back \
	a_recreated_topic_is_noticed_and_accepted_with_a_flag_only a_replay_of_many_goes_batch_by_batch \
	every_incident_is_announced_once)
CHECKOV_FLAGS := --directory terraform_db --framework terraform --compact --quiet --skip-download
STAMP := $(VENV)/.set-up
SYSTEMS := people_hub
HUB := systems/people_hub
HUB_PYTHON := $(HUB)/.venv/bin/python
HUB_STAMP := $(HUB)/.venv/.set-up
HUB_DATABASE_TESTS := tests/test_changes.py tests/test_rejects.py tests/test_commands.py tests/test_fingerprints.py tests/test_founded.py
.PHONY: $(foreach system,$(SYSTEMS),setup-$(system) demo-$(system) test-$(system)) test-all bench-hub help setup demo demo-live test schema dashboard bench-museum bench-live bench-dashboard bench-peers stop lint types terraform check format clean

help: ## this menu
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## the environment in .venv (the other targets do it when needed)

$(STAMP): requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; run make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "error: $(PYTHON) cannot make an environment; on Debian: apt-get install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements-dev.txt -c constraints.txt
	@touch $@

demo: $(STAMP) ## the pipeline for real: a generated bucket, a local S3, a private Postgres
	@$(BIN)/python -m museum.demo

demo-live: $(STAMP) ## half a minute of the live consumer: a mock Kafka broker, generated events, a private Postgres
	@$(BIN)/python -m museum.live.demo

dashboard: $(STAMP) ## the staff's page, on demo-live's database or else the demo's
	@$(BIN)/python -m dashboard --demo

test: $(STAMP) ## museum and kit tests on real servers, short counts
	@$(BIN)/python -m pytest -q

schema: $(STAMP) ## create what is missing in the database of .env
	@$(BIN)/python load.py --apply-schema

bench-museum: $(STAMP) ## the pipeline against psql \copy of the same rows, with peak memory (minutes)
	@$(BIN)/python benchmarks/museum.py $(BENCH_FLAGS)

bench-live: $(STAMP) ## the consumer on a real Kafka: draining, latencies, memory (minutes)
	@$(BIN)/python benchmarks/live.py $(BENCH_FLAGS)

bench-dashboard: $(STAMP) ## the pages at 20 million reviews, against the same figures from every row (minutes)
	@$(BIN)/python benchmarks/dashboard.py $(BENCH_FLAGS)

bench-peers: $(STAMP) .local/peers/sling .local/peers/dlt ## Sling and dlt beside the pipeline, in one run (minutes)
	@$(BIN)/python benchmarks/peers.py $(BENCH_FLAGS)

.local/peers/%: benchmarks/requirements-%.txt $(STAMP)
	@rm -rf $@
	@$(BIN)/uv venv --quiet --python $(BIN)/python $@
	@$(BIN)/uv pip install --quiet --python $@/bin/python -r $<

setup-people_hub: $(HUB_STAMP) ## the people hub's own environment

$(HUB_STAMP): $(STAMP) $(HUB)/pyproject.toml pyproject.toml constraints.txt
	@test -x $(HUB_PYTHON) || $(BIN)/uv venv --quiet --python $(BIN)/python $(HUB)/.venv
	@$(BIN)/uv pip install --quiet --python $(HUB_PYTHON) --compile-bytecode -e "$(HUB)[dev]" -c constraints.txt
	@touch $@

demo-people_hub: $(HUB_STAMP) ## the people hub for real: OpenLDAP, a REST server, a spreadsheet, a private Postgres
	@$(HUB_PYTHON) -m people_hub.demo

test-people_hub: $(HUB_STAMP) ## the people hub's tests on real servers, short counts
	@cd $(HUB) && .venv/bin/python -m pytest -q

test-all: test $(foreach system,$(SYSTEMS),test-$(system)) ## every system's tests, short counts

bench-hub: $(HUB_STAMP) ## change detection of 300,000 people against the founding pattern (minutes)
	@$(HUB_PYTHON) benchmarks/hub.py $(BENCH_FLAGS)

stop: $(STAMP) ## stop the private Postgres; its data stays
	@$(BIN)/python -m etlkit server stop

lint: $(STAMP) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) $(HUB_STAMP) ## mypy, strict
	@$(BIN)/mypy
	@$(BIN)/mypy --python-executable $(HUB_PYTHON) $(HUB)/people_hub

format: $(STAMP) ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

terraform: $(STAMP) .local/checkov ## checkov over terraform_db: everything switched on, then as it comes
	@.local/checkov/bin/checkov $(CHECKOV_FLAGS) --var-file terraform_db/examples/everything.tfvars
	@.local/checkov/bin/checkov $(CHECKOV_FLAGS)

.local/checkov: terraform_db/requirements-checkov.txt $(STAMP)
	@rm -rf $@
	@$(BIN)/uv venv --quiet --python $(BIN)/python $@
	@$(BIN)/uv pip install --quiet --python $@/bin/python -r $<

check: lint types terraform $(HUB_STAMP) ## what CI runs: lint, types, checkov, every test at full counts, the database tests on Postgres 15 too
	@ETL_FULL=1 $(BIN)/python -m pytest -q
	@if [ -x $(POSTGRES_15)/postgres ]; then $(BIN)/python -m pytest -q -m "not full" --postgres=$(POSTGRES_15) $(DATABASE_TESTS) $(LIVE_TESTS); \
	elif [ -n "$$ETL_NO_SKIPS" ]; then echo "error: no Postgres 15 in $(POSTGRES_15)"; exit 1; \
	else echo "Postgres 15 is not in $(POSTGRES_15); its tests were left out"; fi
	@cd $(HUB) && ETL_FULL=1 .venv/bin/python -m pytest -q
	@if [ -x $(POSTGRES_15)/postgres ]; then cd $(HUB) && .venv/bin/python -m pytest -q --postgres=$(POSTGRES_15) $(HUB_DATABASE_TESTS); fi

clean: ## remove the environment and what runs wrote; asks first
	@read -p "Remove .venv, .local, bucket_data, combined_data and logs? [y/N] " answer && [ "$$answer" = y ] && \
		{ test -x $(BIN)/python && $(BIN)/python -m etlkit server stop; rm -rf $(VENV) $(foreach system,$(SYSTEMS),systems/$(system)/.venv systems/$(system)/.local systems/$(system)/logs) .local bucket_data combined_data pipeline.log* consumer.log* dashboard.log*; }
