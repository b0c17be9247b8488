# `make help` lists the targets. What they need and do not find they install, or say how to.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

AZURITE := azurite@3.35.0
# A Go module whose test data are public Parquet files, good and bad.
CORPUS := github.com/parquet-go/parquet-go@v0.32.0
# The JDBC driver of Flight SQL, with which the end-to-end tests speak SQL.
JDBC := org.apache.arrow:flight-sql-jdbc-driver:18.3.0
# The crate that brings the SQL tests of DataFusion; the version is that of Cargo.lock.
SLT := datafusion-sqllogictest
# The releases of Spark that the connector is tested with.
SPARK := $(shell cat integration/spark/versions)
PYTHON := .venv/bin/python
ifdef CI
export CARGO_INCREMENTAL := 0
endif
DEBUG := target/debug/flightcache
# Of Java 17 or 21, which is what Spark runs on.
MVN = JAVA_HOME=$$(integration/setup jdk) mvn --quiet --batch-mode --no-transfer-progress --file spark-plugin/pom.xml
RELEASE := target/release/flightcache

.PHONY: help demo serve build jars test test-jars e2e lint fmt bench bench-sql bench-spark clean rust

help: ## this list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: build ## TPC-H read cold and warm from a store that imitates Blob latency; ends by itself
	$(RELEASE) demo

serve: build ## the same data, staying up; prints how to connect
	$(RELEASE) demo --keep

build: rust ## the release binary, target/release/flightcache
	cargo build --release --locked --package flightcache-flight-server

jars: ## the Spark connector, spark-plugin/dist/*.jar
	integration/setup java
	$(MVN) package -DskipTests

test: lint ## everything: lint, Rust and Java tests, end to end on Azurite, S3 and Spark
	cargo test --workspace --locked --quiet
	$(MAKE) --no-print-directory test-jars e2e

test-jars: rust ## only the tests of the Spark connector that need no Spark cluster
	integration/setup java
	cargo build --workspace --locked --quiet
	FLIGHTCACHE_BIN=$(CURDIR)/$(DEBUG) $(MVN) verify

e2e: rust jars .venv/ready .node/ready .cache/corpora/ready .cache/jdbc/ready .cache/slt/ready .cache/spark/ready ## only the end-to-end tests (ARGS="-k warm -x" narrows them)
	cargo build --workspace --bins --example remote --locked --quiet
	FLIGHTCACHE_BIN=$(DEBUG) $(PYTHON) -m pytest -c integration/pyproject.toml integration/e2e $(ARGS)

lint: rust .venv/ready ## formatting, clippy, ruff; `cargo test` adds the tidy test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	.venv/bin/ruff check --config integration/pyproject.toml integration
	.venv/bin/ruff format --config integration/pyproject.toml --check integration
	cargo test --locked --quiet --package flightcache-integration --test tidy

fmt: rust .venv/ready ## rewrite Rust and Python in the house format
	cargo fmt --all
	.venv/bin/ruff check --config integration/pyproject.toml --fix integration
	.venv/bin/ruff format --config integration/pyproject.toml integration

bench: build .venv/ready .node/ready bench-sql bench-spark ## the measurements of the README, into integration/bench/*.md
	FLIGHTCACHE_BIN=$(RELEASE) PYTHONPATH=integration $(PYTHON) -m bench $(ARGS)

bench-sql: rust ## only those of SQL, into integration/bench/tpch.md (ARGS="--queries q1,q6" narrows them)
	cargo bench --locked --package flightcache-planner --package flightcache-flight-server --bench tpch -- $(ARGS) | tee integration/bench/tpch.md

bench-spark: build jars .venv/ready .cache/spark/ready ## only those of Spark, into integration/bench/spark.md (ARGS="--scale 0.1 --queries q1,q6")
	FLIGHTCACHE_BIN=$(RELEASE) PYTHONPATH=integration $(PYTHON) -m bench.spark $(ARGS)

clean: ## remove everything that was built, installed or generated here
	rm -rf target .venv .node .cache spark-plugin/dist spark-plugin/*/target

rust:
	@integration/setup rust

.venv/ready: integration/requirements.txt
	integration/setup python
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

.node/ready: Makefile
	integration/setup node
	npm install --prefix .node --no-package-lock --no-save --no-audit --no-fund --loglevel=error $(AZURITE)
	touch $@

.cache/jdbc/ready: Makefile
	integration/setup java
	rm -rf $(@D)
	mkdir -p $(@D)
	mvn --quiet --batch-mode dependency:copy -Dartifact=$(JDBC) -DoutputDirectory=$(CURDIR)/$(@D) -Dmdep.stripVersion=true
	touch $@

.cache/spark/ready: integration/spark/versions integration/spark/pom.xml | .venv/ready
	integration/setup java jdk
	rm -rf $(@D)
	mkdir -p $(@D)
	for version in $(SPARK); do \
	    $(PYTHON) -m pip install --quiet --disable-pip-version-check --target $(@D)/$$version pyspark==$$version; \
	done
	mvn --quiet --batch-mode --file integration/spark/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(@D)/jars
	touch $@

.cache/slt/ready: Makefile Cargo.lock integration/harness/slt/install
	integration/harness/slt/install $(SLT) $(CURDIR)/$(@D)
	touch $@

.cache/corpora/ready: Makefile
	integration/setup go
	rm -rf $(@D)
	mkdir -p $(@D)/$(notdir $(CORPUS))
	GOFLAGS=-modcacherw GOMODCACHE=$(CURDIR)/.cache/go go mod download $(CORPUS)
	cd .cache/go/$(CORPUS) && find . -name '*.parquet' -exec cp --parents {} $(CURDIR)/$(@D)/$(notdir $(CORPUS)) \;
	rm -rf .cache/go
	touch $@
