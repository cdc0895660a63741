# azlocal: an Azure Local instance and its AKS clusters on plain KVM machines. `make help` explains.
# Recipes are one line each; what they do is in infra/cli and scripts/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

STACK ?= local
PULUMI_FLAGS ?=
PYTEST_FLAGS ?=
export STACK PULUMI_FLAGS PYTEST_FLAGS
export PATH := $(CURDIR)/.azlocal/bin:$(CURDIR)/.venv/bin:$(PATH)

MACHINE ?=
CLUSTER ?=
# Our code is started many times: compiling it again each time takes longer than the rest.
unexport PYTHONDONTWRITEBYTECODE

LAB ?= lab-local
N ?= 4
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

.PHONY: help setup up adopt preview refresh status outputs ssh kubeconfig down env lab lab-down \
	test test-unit test-engine test-lab test-e2e test-vm quick costs lint bench house reference lock clean clean-cache

help: ## what can be done here
	@scripts/help.sh $(firstword $(MAKEFILE_LIST))

setup: ## install what is missing: packages, .venv, the Pulumi CLI (the others call it)
	@scripts/setup.sh

##@ An instance (STACK=local unless you say otherwise)
up: setup ## make the instance: from the YAML files to running clusters; again, after a change
	@azlocal up
preview: setup ## show what up would change, and the address plan, without touching a host
	@azlocal preview
refresh: setup ## look at the real machines and show what was changed by hand; up repairs it
	@azlocal refresh
status: setup ## show how the instance is: what stands, what doesn't and why, what helps
	@azlocal status
outputs: setup ## show the instance's outputs: machines, addresses
	@azlocal outputs
ssh: setup ## log in to a machine: make ssh MACHINE=local-a-cp-0; its host key is checked
	@azlocal ssh $(MACHINE)
kubeconfig: setup ## let kubectl use the clusters: make kubeconfig, or CLUSTER=a for one and to switch to it
	@azlocal kubeconfig --merge $(CLUSTER)
adopt: setup ## go on with what stands where its state was lost: nothing is replaced (PULUMI_FLAGS=--yes: don't ask)
	@azlocal adopt
down: setup ## take everything of the instance away again; its configuration stays
	@azlocal down
env: ## print the settings for using pulumi and azlocal by hand: eval "$$(make env)"
	@scripts/setup.sh >&2
	@azlocal env

##@ A lab: KVM hosts on this one machine, as network namespaces (LAB=lab-local unless you say otherwise)
lab: setup ## make N hosts (N=4), joined by a switch, and the files of a site and a stack for them
	@$(SUDO) .venv/bin/python -m infra.lab up $(LAB) $(N)
lab-down: setup ## take the lab away with all that was built on it; make down STACK=lab-local first keeps state right
	@$(SUDO) .venv/bin/python -m infra.lab down $(LAB)

##@ Tests
test: setup ## lint and every tier that this machine can run; FULL=1: the tests marked full, too
	@.venv/bin/python -m scripts.tiers
test-unit test-engine test-lab test-e2e test-vm: setup
	@.venv/bin/python -m scripts.tiers $(@:test-%=%)
test-unit: ## no root, no network, seconds
test-engine: ## the real Pulumi engine and our plugin process, no root
test-lab: ## several KVM hosts in network namespaces of this machine
test-e2e: ## make up and down with real machines, containers where KVM is missing
test-vm: ## virtual machines, under emulation if need be
quick: setup ## seconds: lint and the unit tests that what you changed reaches (since origin/main or BASE)
	@.venv/bin/python -m scripts.quick
costs: ## write tests/costs.json, the budget of each tier, from the last make test
	@.venv/bin/python -m tests.costs .azlocal/tests/*.jsonl
lint: setup ## ruff, mypy, the import contracts, shellcheck
	@scripts/lint.sh

##@ Development
bench: setup ## the planner against its promised times; 16 machines in parallel, against raw libvirt calls
	@.venv/bin/python -m bench
reference: setup ## write docs/reference from the commands, the input files' schemas, and the rules
	@.venv/bin/python -m scripts.reference
house: setup ## draw docs/house.svg and list the rooms of the code, from its imports
	@.venv/bin/python -m scripts.house
lock: ## write requirements.lock again after a change of pyproject.toml (LOCK_FLAGS=--upgrade)
	@scripts/lock.sh $(LOCK_FLAGS)
clean: ## remove what setup and the tools made in this folder; state, keys and caches stay
	@scripts/clean.sh
clean-cache: ## remove Go's caches and the az CLI of tests, which come back when they are needed
	@scripts/clean.sh cache
