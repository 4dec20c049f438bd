# The suite's commands; `make` alone is the menu.
.DEFAULT_GOAL := help
SYSTEMS := people_hub file_monitoring binge_works warehouse
ON_POSTGRES := $(filter-out warehouse,$(SYSTEMS))
PYTHON ?= python3
PYTHON_3_10 ?= $(lastword $(wildcard /usr/bin/python3.10 /usr/local/bin/python3.10 $(HOME)/.pyenv/versions/3.10.*/bin/python))
POSTGRES_15 ?= /usr/lib/postgresql/15/bin
ON_POSTGRES_15 = -m "database and not soak" --postgres=$(POSTGRES_15)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
CDK_VERSION := 2.1148.1
AXE_VERSION := 4.14.1
UV := $(BIN)/uv --system-certs
STAMP := $(VENV)/.set-up
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, 2 * (os.cpu_count() or 1)))')
PYTEST = python -m pytest -q -n $(WORKERS)
SOAK_SYSTEMS := $(or $(SYSTEM),museum $(SYSTEMS))
SEED ?= $(shell $(PYTHON) -c 'import random; print(random.randrange(100_000))')
CHECKOV_FLAGS := --directory terraform_db --framework terraform --compact --quiet --skip-download
BENCHMARKS := museum live dashboard hub file_monitoring binge_works warehouse
.PHONY: $(foreach system,$(SYSTEMS),setup-$(system) demo-$(system) test-$(system) types-$(system)) \
	$(BENCHMARKS:%=bench-%) bench-scale bench-peers spark-jars templates setup-warehouse-cdk help setup demo demo-live test test-all test-postgres-15 test-python-3.10 soak mutants \
	test-file_monitoring-python-3.10 \
	schema dashboard stop lint types terraform static check format clean

help: ## this menu
	@awk -F ':.*## ' '/^[a-z0-9_.-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '  make %-17s %s\n' setup-SYSTEM "the environment of one of: $(SYSTEMS)" \
		demo-SYSTEM "its main job for real, with stand-in sources and a private Postgres" \
		test-SYSTEM "its tests on real servers, short counts"

setup: $(STAMP) ## the environment in .venv (the other targets do it when needed)

$(STAMP): requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; run make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "error: $(PYTHON) cannot make an environment; on Debian: apt-get install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements-dev.txt -c constraints.txt
	@touch $@

$(SYSTEMS:%=setup-%): setup-%: systems/%/.venv/.set-up

systems/%/.venv/.set-up: $(STAMP) systems/%/pyproject.toml pyproject.toml constraints.txt
	@test -x systems/$*/.venv/bin/python || $(UV) venv --quiet --python $(BIN)/python systems/$*/.venv
	@$(UV) pip install --quiet --python systems/$*/.venv/bin/python --compile-bytecode -e "systems/$*[dev]" -c constraints.txt
	@touch $@

demo: $(STAMP) ## the pipeline for real: a generated bucket, a local S3, a private Postgres
	@$(BIN)/python -m museum.demo

demo-live: $(STAMP) ## half a minute of the live consumer: a mock Kafka broker, generated events, a private Postgres
	@$(BIN)/python -m museum.live.demo

$(SYSTEMS:%=demo-%): demo-%: systems/%/.venv/.set-up
	@systems/$*/.venv/bin/python -m $*.demo

dashboard: $(STAMP) ## the staff's page, on demo-live's database or else the demo's
	@$(BIN)/python -m dashboard --demo

test: $(STAMP) .local/axe-core-$(AXE_VERSION) ## museum and kit tests on real servers, short counts
	@$(BIN)/$(PYTEST)

.local/axe-core-%: $(STAMP) # what holds the dashboard's pages against WCAG in the browser
	@NODE_USE_SYSTEM_CA=1 $(BIN)/npm install --silent --no-audit --no-fund --prefix $@ axe-core@$* || \
		{ rm -rf $@; echo "npm cannot bring axe-core; the test that needs it will be left out"; }

$(SYSTEMS:%=test-%): test-%: systems/%/.venv/.set-up
	@cd systems/$* && .venv/bin/$(PYTEST)

test-file_monitoring: test-file_monitoring-python-3.10
test-file_monitoring-python-3.10: $(STAMP)
	@if [ -n "$(PYTHON_3_10)" ]; then \
		test -x .local/file_monitoring-3.10/bin/python || $(UV) venv --quiet --python $(PYTHON_3_10) .local/file_monitoring-3.10 && \
		$(UV) pip install --quiet --python .local/file_monitoring-3.10/bin/python --compile-bytecode -e "systems/file_monitoring[dev]" -c constraints-3.10.txt && \
		cd systems/file_monitoring && ../../.local/file_monitoring-3.10/bin/$(PYTEST) -k "not (kill or poison or restarts)"; \
	else echo "there is no Python 3.10; the file monitor's tests on it were left out"; fi

test-all: test $(SYSTEMS:%=test-%) ## every system's tests, short counts

test-postgres-15: $(STAMP) $(SYSTEMS:%=setup-%) ## the tests marked database, every statement among them, on the oldest Postgres
	@if [ -x $(POSTGRES_15)/postgres ]; then \
		export PYTHONPATH=$(CURDIR)/tests/mutants/tracing STATEMENT_TRACE=$(CURDIR)/.local/statements-15; \
		mkdir -p .local && rm -f $$STATEMENT_TRACE && $(BIN)/$(PYTEST) $(ON_POSTGRES_15) && \
		for system in $(ON_POSTGRES); do (cd systems/$$system && .venv/bin/$(PYTEST) $(ON_POSTGRES_15)) || exit 1; done && \
		$(BIN)/python tests/untried_statements.py $$STATEMENT_TRACE; \
	elif [ -n "$$ETL_NO_SKIPS" ]; then echo "error: no Postgres 15 in $(POSTGRES_15)"; exit 1; \
	else echo "Postgres 15 is not in $(POSTGRES_15); its tests were left out"; fi

test-python-3.10: $(STAMP) ## the kit's tests again, on the oldest Python that it promises
	@if [ -n "$(PYTHON_3_10)" ]; then \
		test -x .local/python-3.10/bin/python || $(UV) venv --quiet --python $(PYTHON_3_10) .local/python-3.10 && \
		$(UV) pip install --quiet --python .local/python-3.10/bin/python -e ".[testing]" -c constraints-3.10.txt && \
		.local/python-3.10/bin/$(PYTEST) --confcutdir=tests/etlkit -p etlkit.testing.plugin tests/etlkit; \
	else echo "there is no Python 3.10; the kit's tests on it were left out"; fi

soak: $(STAMP) $(SYSTEMS:%=setup-%) ## every kill, fault and fuzz test at full counts, of one SYSTEM= or all; SEED= repeats one
	@failed=0; seed=$(SEED); for system in $(SOAK_SYSTEMS); do \
		folder=.; [ $$system = museum ] || folder=systems/$$system; \
		(cd $$folder && ETL_FULL=1 ETL_SEED=$$seed .venv/bin/$(PYTEST) -m "soak or full" --hypothesis-seed=$$seed) || failed=1; \
	done; exit $$failed

mutants: .local/mutants $(SYSTEMS:%=setup-%) ## leave out what guards data, see a test fail (an hour); SYSTEM=, ONLY=
	@PYTHONPATH=tests:. nice -n 15 .local/mutants/bin/python -m mutants $(SYSTEM:%=--system %) --only '$(ONLY)'

.local/mutants: tests/mutants/requirements.txt $(STAMP)
	@rm -rf $@
	@$(UV) venv --quiet --python $(BIN)/python $@
	@$(UV) pip install --quiet --python $@/bin/python -r $< -c constraints.txt

schema: $(STAMP) ## create what is missing in the database of .env
	@$(BIN)/python load.py --apply-schema

bench-museum: $(STAMP) ## the pipeline against psql \copy of the same rows, with peak memory (minutes)
	@$(BIN)/python benchmarks/museum.py $(BENCH_FLAGS)

bench-live: $(STAMP) ## the consumer on a real Kafka: draining, latencies, memory (minutes)
	@$(BIN)/python benchmarks/live.py $(BENCH_FLAGS)

bench-dashboard: $(STAMP) ## the pages at 20 million reviews, against the same figures from every row (minutes)
	@$(BIN)/python benchmarks/dashboard.py $(BENCH_FLAGS)

bench-hub: systems/people_hub/.venv/.set-up ## change detection of 300,000 people against the founding pattern (minutes)
	@systems/people_hub/.venv/bin/python benchmarks/hub.py $(BENCH_FLAGS)

bench-hub-silver: systems/people_hub/.venv/.set-up ## silver's 300,000 people against the founding pattern (minutes)
	@systems/people_hub/.venv/bin/python benchmarks/hub_silver.py $(BENCH_FLAGS)

bench-file_monitoring: systems/file_monitoring/.venv/.set-up .local/peers/great_expectations .local/peers/frictionless ## large files, and three libraries beside it (minutes)
	@systems/file_monitoring/.venv/bin/python benchmarks/file_quality.py $(BENCH_FLAGS)

bench-binge_works: systems/binge_works/.venv/.set-up ## a day of 10,000 shows on a month of history, against the founding way (minutes)
	@systems/binge_works/.venv/bin/python benchmarks/daily_lists.py $(BENCH_FLAGS)

spark-jars: .local/spark_jars/pom.xml ## what the warehouse's Spark needs for S3, by Maven
.local/spark_jars/pom.xml: systems/warehouse/spark_jars/pom.xml
	@mvn -q -B -f $< org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies -DoutputDirectory=$(CURDIR)/$(@D) -DincludeScope=runtime -Dstyle.color=never
	@cp $< $@

bench-warehouse: systems/warehouse/.venv/.set-up ## a large file to Parquet: ours on DuckDB and on Spark, and pandas (minutes)
	@systems/warehouse/.venv/bin/python benchmarks/drug_files.py $(BENCH_FLAGS)
	@systems/warehouse/.venv/bin/python benchmarks/warehouse_history.py $(HISTORY_FLAGS)

bench-scale: $(STAMP) $(if $(filter-out museum,$(SYSTEM)),systems/$(SYSTEM)/.venv/.set-up) ## how far it goes: one SYSTEM= at growing sizes, the museum by default (hours; BENCH_FLAGS=--quick: minutes)
	@$(if $(filter-out museum,$(SYSTEM)),systems/$(SYSTEM)/.venv/bin/python benchmarks/scale_$(SYSTEM).py,$(BIN)/python benchmarks/scale_museum.py) $(BENCH_FLAGS)
	@$(if $(filter-out museum,$(SYSTEM)),,$(BIN)/python benchmarks/scale_live.py $(filter --quick,$(BENCH_FLAGS)))

bench-peers: $(STAMP) .local/peers/sling .local/peers/dlt ## Sling and dlt beside the pipeline, in one run (minutes)
	@$(BIN)/python benchmarks/peers.py $(BENCH_FLAGS)

.local/peers/%: benchmarks/requirements-%.txt $(STAMP)
	@rm -rf $@
	@$(UV) venv --quiet --python $(BIN)/python $@
	@$(UV) pip install --quiet --python $@/bin/python -r $<

stop: $(STAMP) ## stop the private Postgres; its data stays
	@$(BIN)/python -m etlkit server stop

lint: $(STAMP) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) $(SYSTEMS:%=types-%) ## mypy, strict
	@$(BIN)/mypy

$(SYSTEMS:%=types-%): types-%: systems/%/.venv/.set-up
	@$(BIN)/mypy --cache-dir .mypy_cache/$* --python-executable systems/$*/.venv/bin/python systems/$*/$*

format: $(STAMP) ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

terraform: $(STAMP) .local/checkov ## checkov over terraform_db: everything switched on, then as it comes
	@.local/checkov/bin/checkov $(CHECKOV_FLAGS) --var-file terraform_db/examples/everything.tfvars
	@.local/checkov/bin/checkov $(CHECKOV_FLAGS)

templates: systems/warehouse/.venv/.set-up .local/checkov ## the warehouse's templates for AWS, by CDK, past cfn-lint and checkov
	@rm -rf .local/warehouse_templates && mkdir -p .local/warehouse_templates
	@cd systems/warehouse && CDK_OUTDIR=$(CURDIR)/.local/warehouse_templates .venv/bin/python etl/app.py
	@systems/warehouse/.venv/bin/cfn-lint --ignore-checks W3005 -- .local/warehouse_templates/*.template.json # CDK's own dependency, said twice
	@.local/checkov/bin/checkov --config-file systems/warehouse/checkov.yaml --directory .local/warehouse_templates --framework cloudformation --compact --quiet --skip-download

setup-warehouse-cdk: systems/warehouse/.venv/bin/cdk ## the command cdk in the warehouse's environment, by npm
systems/warehouse/.venv/bin/cdk: systems/warehouse/.venv/.set-up
	@NODE_USE_SYSTEM_CA=1 systems/warehouse/.venv/bin/npm install --silent --no-audit --no-fund --prefix systems/warehouse/.venv/cdk aws-cdk@$(CDK_VERSION)
	@ln -sf ../cdk/node_modules/.bin/cdk $@

.local/checkov: terraform_db/requirements-checkov.txt $(STAMP)
	@rm -rf $@
	@$(UV) venv --quiet --python $(BIN)/python $@
	@$(UV) pip install --quiet --python $@/bin/python -r $<

static: $(STAMP) ## lint, types, terraform and templates, two at a time
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint types terraform templates

check: static test-all test-postgres-15 test-python-3.10 ## what CI runs

clean: ## remove the environment and what runs wrote; asks first
	@read -p "Remove .venv, .local, bucket_data, combined_data and logs? [y/N] " answer && [ "$$answer" = y ] && \
		{ test -x $(BIN)/python && $(BIN)/python -m etlkit server stop; rm -rf $(VENV) $(foreach system,$(SYSTEMS),systems/$(system)/.venv systems/$(system)/.local systems/$(system)/logs) .local bucket_data combined_data pipeline.log* consumer.log* dashboard.log*; }
