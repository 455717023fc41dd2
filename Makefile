# `make run` and `make test` do all set-up by themselves; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MANIFEST := dbt/target/manifest.json
DBT_FILES := $(shell find dbt -path dbt/target -prune -o -type f \( -name '*.sql' -o -name '*.yml' -o -name '*.md' \) -print 2>/dev/null)

# Many containers set it. Then every process of ours would compile Airflow and dbt anew, some seconds each.
unexport PYTHONDONTWRITEBYTECODE

# What a person may give: make run SCENARIO=path KEEP=1 · make sql Q="select 1" FORMAT=csv · make up PORT=8081
# A misspelt one would be ignored, and `make run KEP=1` begins with an empty lake.
KNOWN := SCENARIO KEEP Q FORMAT PORT OBJECT RUN_ID REPLAY IDS YES DRY ONLY QUICK ARGS ALL PYTHON ENV CREDENTIALS DROP_DATA
UNKNOWN := $(filter-out $(KNOWN),$(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),$(name))))
ifneq ($(strip $(UNKNOWN)),)
$(error there is no variable $(strip $(UNKNOWN)); there are $(KNOWN))
endif

# What counts as yes: anything but nothing, 0, no and false.
yes = $(filter-out 0 no false NO No False,$(1))

# A dollar sign is the person's own: make is not to expand it.
override Q := $(value Q)
override SCENARIO := $(value SCENARIO)
override IDS := $(value IDS)
override CREDENTIALS := $(value CREDENTIALS)
# A shell has an ENV of its own, which is a file: only what stands on the command line is an environment's name.
override ENV := $(if $(findstring command,$(origin ENV)),$(value ENV))
export ENV CREDENTIALS SCENARIO KEEP Q PORT OBJECT RUN_ID ONLY QUICK IDS REPLAY
export FORMAT ?= table

.PHONY: help
help: ## what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed: install it, or give PYTHON=path" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) -V); Python 3.11 or 3.12 is needed: give PYTHON=path" >&2; exit 2; }
	@echo "setting up $(VENV) (about 1 GB, a minute or two the first time)" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "python venv is missing: on Debian and Ubuntu, apt install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5" >&2
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock >&2
	@touch $@

.PHONY: setup
setup: $(READY) ## install everything into .venv

$(MANIFEST): $(READY) $(DBT_FILES)
	@echo "building the dbt manifest" >&2
	@$(BIN)/python -m local.manifest >&2

.PHONY: manifest
manifest: $(MANIFEST) ## build the dbt manifest that the DAGs are drawn from

.PHONY: run
run: $(READY) $(MANIFEST) ## replay a scenario through the whole pipeline, then report (SCENARIO=path, KEEP=1)
	@$(BIN)/python -m local.replay $(if $(SCENARIO),--scenario "$$SCENARIO") $(if $(call yes,$(KEEP)),--keep)

.PHONY: up
up: $(READY) $(MANIFEST) ## start Airflow's UI and the simulated org (PORT=8080)
	@$(BIN)/python -m local.services up $(if $(PORT),--port "$$PORT")

.PHONY: down
down: $(READY) ## stop what `make up` started
	@$(BIN)/python -m local.services down

.PHONY: airflow
airflow: $(READY) ## Airflow's command line, while `make up` runs (ARGS="backfill create …")
	@$(BIN)/python -m local.airflow_cli $(ARGS)

.PHONY: sql
sql: $(READY) ## a SQL shell on the lake (Q="select …" FORMAT=csv|table|json)
	@$(BIN)/python -m local.lake.shell $(if $(Q),--query "$$Q") --format "$$FORMAT"

.PHONY: dbt
dbt: $(READY) ## dbt on the laptop's lake (ARGS="show --select a_test", the rows that a test names)
	@SF_HISTORY_LAKE="$(CURDIR)/.local/lake" SF_HISTORY_ROOT="$(CURDIR)" DBT_LOG_PATH="$(CURDIR)/.local/logs" \
		$(BIN)/dbt --quiet $(ARGS) --project-dir dbt --profiles-dir dbt

.PHONY: validate-schema
validate-schema: $(READY) ## hold an object file against the simulated org (OBJECT=user)
	@$(BIN)/python -m local.ask validate-schema $(if $(OBJECT),"$$OBJECT",user)

.PHONY: extraction-stats
extraction-stats: $(READY) ## rows, bytes, API calls and seconds of a run (OBJECT=user RUN_ID=…)
	@$(BIN)/python -m local.ask extraction-stats $(if $(OBJECT),"$$OBJECT",user) $(if $(RUN_ID),--run-id "$$RUN_ID")

.PHONY: quarantine
quarantine: $(READY) ## records that were refused, and why (OBJECT=user REPLAY=1 FORMAT=csv|table|json)
	@$(BIN)/python -m local.ask quarantine $(if $(OBJECT),"$$OBJECT",user) $(if $(call yes,$(REPLAY)),--replay) --format "$$FORMAT"

.PHONY: erase
erase: $(READY) $(MANIFEST) ## forget people for good (OBJECT=user IDS="0055e0000000001AAA …" YES=1)
	@$(BIN)/python -m local.erase $(if $(OBJECT),"$$OBJECT",user) $(if $(call yes,$(YES)),--yes) --ids "$$IDS"

.PHONY: upkeep
upkeep: $(READY) ## compact the lake's tables, expire old snapshots, remove left-overs (OBJECT=user DRY=1)
	@$(BIN)/python -m local.upkeep $(if $(OBJECT),"$$OBJECT") $(if $(call yes,$(DRY)),--dry-run)

.PHONY: mwaa
mwaa: $(READY) ## build what Amazon MWAA is given, into build/mwaa (ENV=development)
	@$(BIN)/python -m deploy.bundle --environment "$${ENV:-development}" --out build/mwaa

# make deploy ENV=staging YES=1 CREDENTIALS=file ARGS="--region eu-west-1"; `.venv/bin/python -m deploy up --help` has the rest.
DEPLOY = $(BIN)/python -m deploy
ENV_GIVEN = @test -n "$$ENV" || { echo "which environment? make $@ ENV=development (or staging, production)" >&2; exit 2; }

.PHONY: deploy
deploy: $(READY) ## MWAA: build, show the plan, ask, apply, run (ENV=development YES=1 CREDENTIALS=file)
	$(ENV_GIVEN)
	@$(DEPLOY) up --environment "$$ENV" $(if $(call yes,$(YES)),--yes) $(if $(CREDENTIALS),--credentials "$$CREDENTIALS") $(ARGS)

.PHONY: plan
plan: $(READY) ## what `make deploy` would change (ENV=development)
	$(ENV_GIVEN)
	@$(DEPLOY) plan --environment "$$ENV" $(if $(CREDENTIALS),--credentials "$$CREDENTIALS") $(ARGS)

.PHONY: destroy
destroy: $(READY) ## delete Airflow and its network; data only if told twice (ENV=development DROP_DATA=1)
	$(ENV_GIVEN)
	@$(DEPLOY) destroy --environment "$$ENV" $(if $(call yes,$(YES)),--yes) $(if $(call yes,$(DROP_DATA)),--drop-data) $(ARGS)

.PHONY: verify
verify: $(READY) ## check a live environment end to end (ENV=development ARGS=--salesforce)
	$(ENV_GIVEN)
	@$(DEPLOY) verify --environment "$$ENV" $(ARGS)

.PHONY: ddl
ddl: $(READY) $(MANIFEST) ## the DDL of every table, as Athena spells it (ENV=development)
	@$(DEPLOY) ddl --environment "$${ENV:-development}" $(ARGS)

.PHONY: trino
trino: $(READY) ## a real Trino over Glue and S3 on loopback, until Ctrl-C; fetched the first time (PORT=8085)
	@$(BIN)/python -m local.cloud up $(if $(PORT),--port "$$PORT")

.PHONY: test
test: $(READY) $(MANIFEST) ## every test (ARGS="-k name" for some)
ifneq ($(ARGS),)
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not property and not trino and not athena and not browser"
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m property
endif

.PHONY: test-trino
test-trino: $(READY) $(MANIFEST) ## the tests on a real Trino, which Maven fetches (540 MB the first time)
	@$(BIN)/python -m pytest -m trino $(ARGS)

.PHONY: test-athena
test-athena: $(READY) $(MANIFEST) ## the tests of dbt-athena and the whole DAG, against Athena's API over that Trino
	@$(BIN)/python -m pytest -m athena $(ARGS)

.PHONY: test-browser
test-browser: $(READY) $(MANIFEST) ## the page inside Airflow, in a headless Chromium (Debian's is installed where there is none)
	@$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

.PHONY: compare-engines
compare-engines: $(READY) $(MANIFEST) ## the dimension after a scenario on DuckDB, Trino and Athena: the same rows? (SCENARIO=path)
	@$(BIN)/python -m tests.engines.compare $(if $(SCENARIO),--scenario "$$SCENARIO")

.PHONY: faults
faults: $(READY) ## every way in which Salesforce can fail, against what a calm run leaves (ONLY=text for some)
	@$(BIN)/python -m local.faults $(if $(ONLY),--only "$$ONLY")

# make bench ONLY=upsert; make bench ARGS=--resume; `.venv/bin/python -m bench --help` has the rest.
.PHONY: bench
bench: $(READY) $(MANIFEST) ## measure against what people use instead, write docs/benchmarks.md (QUICK=1, ONLY=suite)
	@$(BIN)/python -m bench $(if $(call yes,$(QUICK)),--quick) $(if $(ONLY),--only "$$ONLY") $(ARGS)

.PHONY: lint
lint: $(READY) $(MANIFEST) ## ruff, mypy, sqlfluff, yamllint, cfn-lint, checkov
	@$(MAKE) -j2 --output-sync=target lint-types lint-sql lint-cloud lint-text

.PHONY: lint-types lint-sql lint-cloud lint-text
lint-types: $(READY)
	$(BIN)/mypy
lint-sql: $(READY) $(MANIFEST)
	$(BIN)/sqlfluff lint --disable-progress-bar dbt
lint-cloud: $(READY)
	$(BIN)/cfn-lint deploy/cloudformation/*.yaml
	$(BIN)/python -m local.policy_scan
lint-text: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/yamllint --strict .

.PHONY: lock
lock: $(READY) ## resolve requirements-dev.txt anew into requirements.lock
	$(BIN)/uv pip compile requirements-dev.txt --output-file requirements.lock --no-header --python-version 3.11 --constraint constraints.txt --upgrade --quiet

.PHONY: clean
clean: ## remove the lake, the org and Airflow's home; `make clean ALL=1` the virtualenv as well
	@test ! -d .local || [ ! -x $(BIN)/python ] || $(BIN)/python -m local.services down
	rm -rf .local build dbt/target dbt/logs .pytest_cache .mypy_cache .ruff_cache .hypothesis $(if $(call yes,$(ALL)),$(VENV))
