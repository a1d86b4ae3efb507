# make demo    see a miner stopped and named, in a private network of namespaces
# make test    the whole test suite, except tests marked slow (.ci/run runs those too)
#
# Both do their own set-up: uv in .uv, dependencies in .venv, system packages where they may.

SHELL := /bin/bash
export PATH := $(PATH):/usr/sbin:/sbin

MARKERS ?= not slow
FUZZ_SECONDS ?= 60
DEMO_ARGS ?=
# Two tests at a time; GatewaysFirst in tests/conftest.py says which.
TEST_JOBS ?= 2
TEST_ARGS ?=
BENCH_ARGS ?=
ACCURACY_ARGS ?=
# The images: what they are called, and what they are built on (pin it: BASE_DIGEST=sha256:...).
IMAGE ?= davylamp:dev
LAB_IMAGE ?= davylamp-lab:dev
BASE ?= python:3.12-slim-bookworm
BASE_DIGEST ?=
BUILD_NETWORK ?= default
# What the images are to have besides: EXTRA=mitmproxy for intercept.
EXTRA ?=

.PHONY: help demo test lint bench accuracy fuzz deps near-misses image base-image clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   see a miner stopped and named (as root or not; under two minutes)"
	@echo "make test   run the tests"
	@echo "make lint   ruff, mypy, basedpyright and the import contracts"
	@echo "make bench  throughput and new connections, with and without the gateway"
	@echo "make accuracy  what is told of mining and of all else, into docs/accuracy.md"
	@echo "make fuzz   every target under fuzz/, FUZZ_SECONDS (default 60) each"
	@echo "make near-misses  record again the real programs that resemble miners"
	@echo "make image  the container images, out of uv.lock's wheels (docs/images.md)"
	@echo "make base-image  a base for them out of this machine's files, where there is no registry"
	@echo "make deps   install the system packages that the above use"

# The stamp lives in .venv: removing the one removes the other.
STAMP := .venv/.davylamp-ready

$(STAMP): pyproject.toml uv.lock tools/setup
	@tools/setup
	@touch $@

deps:
	@tools/deps test

demo: $(STAMP)
	@tools/deps demo
	@.venv/bin/davylamp demo $(DEMO_ARGS)

test: $(STAMP)
	@tools/deps test
	@.venv/bin/pytest -n $(TEST_JOBS) --dist loadscope -m "$(MARKERS)" $(TEST_ARGS)

# Every tool runs, two at a time, also after one has failed.
CHECKS := "ruff check --quiet" "ruff format --check --quiet" "mypy --no-error-summary" \
	"basedpyright --level error" "lint-imports --no-logo"

lint: $(STAMP)
	@printf '%s\n' $(CHECKS) | xargs -P 2 -I{} sh -c '.venv/bin/{}'

bench: $(STAMP)
	@tools/deps test
	@.venv/bin/davylamp bench $(BENCH_ARGS)

# The page is written also where something fell short; then the exit status is 1.
accuracy: $(STAMP)
	@.venv/bin/davylamp bench accuracy --into docs/accuracy.md $(ACCURACY_ARGS)

fuzz: $(STAMP)
	@.venv/bin/python fuzz/run.py --seconds $(FUZZ_SECONDS)

near-misses: $(STAMP)
	@PATH="$$PATH:$(CURDIR)/.uv/bin" .venv/bin/python tools/near_misses/run.py $(NEAR_MISSES)

# Everything that is downloaded is downloaded by tools/wheelhouse, and checked against the lock.
BUILD = docker build --quiet --network $(BUILD_NETWORK) --build-arg BASE=$(BASE) \
	--build-arg BASE_DIGEST=$(BASE_DIGEST) --build-arg REVISION=$$(git rev-parse HEAD)

image: $(STAMP)
	@EXTRA="$(EXTRA)" tools/wheelhouse
	@$(BUILD) --target davylamp --tag $(IMAGE) .
	@$(BUILD) --target lab --tag $(LAB_IMAGE) .

base-image: $(STAMP)
	@PYTHON=.venv/bin/python .venv/bin/python tools/base_image | docker import - davylamp-base:local

clean:
	rm -rf .venv .uv dist build .*_cache
