# Perennial. `make help` lists what can be done; everything that is needed is installed on first use, outside the repository.
SHELL := /bin/bash
DEV := python3 tools/dev.py
PYTEST := $(DEV) pytest -q

.DEFAULT_GOAL := help
.PHONY: help demo demo-down test test-fast unit golden reconcile contract faults e2e bench verify lint types imports generate lock image clean-cluster

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## The whole loop on a real cluster: train, serve, drift, retrain, redeploy
	@$(DEV) python -m tools.demo up $(DEMO_ARGS)

demo-down: ## Take away all that `make demo` made
	@$(DEV) python -m tools.demo down $(DEMO_ARGS)

test: ## All tests: the fast suites, then faults and end to end on the embedded cluster
	@$(DEV) python -m tools.test all

test-fast: ## unit, golden, reconcile, contract: under a minute
	@$(DEV) python -m tools.test fast

unit golden reconcile contract faults e2e: ## One suite by itself
	@$(DEV) python -m tools.test $@

bench: ## Control-plane figures of docs/performance.md, as a table and build/bench.json
	@$(DEV) python -m bench.run

verify: ## Generated files are fresh; lint, types, import contracts
	@$(DEV) python -m perennial.generate --check
	@$(MAKE) --no-print-directory lint types imports

lint: ## ruff
	@$(DEV) ruff check operator tests tools bench examples
	@$(DEV) ruff format --check operator tests tools bench examples

types: ## mypy --strict
	@$(DEV) mypy

imports: ## import-linter
	@$(DEV) lint-imports

generate: ## Write CRDs, RBAC, the chart's schema and the reference docs from the models
	@$(DEV) python -m perennial.generate

lock: ## Resolve the lock files anew
	@$(DEV) python -m tools.lock

image: ## Build the operator's image
	@$(DEV) python -m tools.image operator

clean-cluster: ## Take away every embedded cluster
	@$(DEV) python -m tools.cluster down --all
