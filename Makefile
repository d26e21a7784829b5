# `make help` lists the targets. Missing tools are installed on first use, outside the repository.
SHELL := /bin/bash
DEV := python3 tools/dev.py

.DEFAULT_GOAL := help
.PHONY: help demo demo-down image test test-fast unit golden reconcile contract faults e2e gitops test-install bench verify lint types imports generate lock clean-cluster

help: ## List the targets
	@awk -F':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use it

demo: ## Run the whole loop on a real cluster: train, serve, detect drift, retrain, roll out
	@$(DEV) python -m tools.demo up $(DEMO_ARGS)

demo-down: ## Remove everything that `make demo` created
	@$(DEV) python -m tools.demo down $(DEMO_ARGS)

image: ## Build the image of the operator and agent
	@$(DEV) python -m tools.image operator

##@ Test

test: ## Run all suites: the fast ones, then faults and e2e on the embedded cluster
	@$(DEV) python -m tools.test all

test-fast: ## Run unit, golden, reconcile and contract: about 70 s on two cores
	@$(DEV) python -m tools.test fast

unit: ## Run one suite: pure functions, the agent against a local S3 server
golden: ## Run one suite: whole decisions, compared with reviewed cases
reconcile: ## Run one suite: the control loop on a cluster in memory
contract: ## Run one suite: CRDs, chart and permissions on a real API server
faults: ## Run one suite: crashes, lost replies and lost leadership
e2e: ## Run one suite: pods on real nodes
gitops: ## Run one suite, not part of `test`: a real Argo CD, built on first use
test-install: ## Run one suite, not part of `test`: the README's install, from a registry
unit golden reconcile contract faults e2e gitops test-install:
	@$(DEV) python -m tools.test $@

bench: ## Measure the control plane, then the comparison of 10 GB, as in docs/performance.md; also into build/
	@$(DEV) python -m bench.run; missed=$$?; $(DEV) python -m bench.engine --ten-gigabytes && exit $$missed

##@ Check

verify: ## Check that generated files are up to date, then lint, types and imports
	@$(DEV) python -m perennial.generate --check
	@$(MAKE) --no-print-directory lint types imports

lint: ## Check style and formatting with ruff
	@$(DEV) ruff check operator tests tools bench examples
	@$(DEV) ruff format --check operator tests tools bench examples

types: ## Check types with mypy --strict
	@$(DEV) mypy

imports: ## Check the import contracts with import-linter
	@$(DEV) lint-imports

##@ Maintain

generate: ## Write CRDs, RBAC, the values schema and the reference pages from the models
	@$(DEV) python -m perennial.generate

lock: ## Resolve the lock files again
	@$(DEV) python -m tools.lock

clean-cluster: ## Remove all embedded clusters
	@$(DEV) python -m tools.cluster down --all
