# Stagedoor. `make` or `make help` lists what there is.

GO       ?= go
OPA      := $(GO) tool opa
BIN      := bin/stagedoor
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -X main.version=$(VERSION)
SCHEMAS  := server/policy/schema/json
PROGRAMS := examples/gin examples/nethttp

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build, then serve with demo users and live policies on http://127.0.0.1:8080
	$(BIN) serve --demo --policies policies --data data

.PHONY: build
build: ## Build bin/stagedoor
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/stagedoor

.PHONY: test
test: policy-test ## Run every test: Rego, Go, end to end
	$(GO) test ./...

.PHONY: race
race: ## Run the Go tests under the race detector
	$(GO) test -race ./...

.PHONY: policy-test
policy-test: ## Run the policies' tests with stock opa; every rule must be covered
	$(OPA) test policies data
	@set -e; for example in $(PROGRAMS); do $(OPA) test $$example/policies $$example/data; \
		$(OPA) test --coverage --threshold 100 $$example/policies $$example/data > /dev/null || \
		{ echo "$$example: a rule is not covered by its tests"; exit 1; }; done
	@$(OPA) test --coverage --threshold 100 policies data examples/issuer/policies examples/issuer/data > /dev/null || \
		{ echo 'examples/issuer: a rule is not covered, or does not pass its tests beside the shipped ones'; exit 1; }
	@set -e; for example in examples/authzen/*/; do $(OPA) test $$example data; \
		$(OPA) test --coverage --threshold 100 $${example}authzen $$example*.yaml > /dev/null || \
		{ echo "$$example: a rule is not covered by its tests"; exit 1; }; done
	@$(OPA) test --coverage --threshold 100 policies data > /dev/null || \
		{ $(OPA) test --coverage --format=pretty policies data; echo 'policies: a rule is not covered by its tests'; exit 1; }

.PHONY: examples
examples: ## Copy the shipped policies into examples/, which stand for all of them
	@set -e; for example in examples/authzen/*/; do for package in authz token rbac; do \
		mkdir -p $$example$$package; rm -f $$example$$package/*.rego; \
		cp $$(ls policies/$$package/*.rego | grep -v _test.rego) $$example$$package; done; done

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, opa fmt, opa check
	@unformatted=$$(gofmt -l bench cmd examples server policies data); \
		test -z "$$unformatted" || { echo "gofmt these files:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) -C bench/peers vet ./...
	@unformatted=$$($(OPA) fmt --list policies examples); \
		test -z "$$unformatted" || { echo "opa fmt --write these files:"; echo "$$unformatted"; exit 1; }
	$(OPA) check --strict policies data
	$(OPA) check --strict --schema $(SCHEMAS) policies data
	@set -e; for example in examples/authzen/*/; do $(OPA) check --strict --schema $(SCHEMAS) $$example data; done
	@set -e; for example in $(PROGRAMS); do $(OPA) check --strict --schema $(SCHEMAS) $$example/policies $$example/data; done
	$(OPA) check --strict --schema $(SCHEMAS) policies data examples/issuer/policies examples/issuer/data

.PHONY: fuzz
fuzz: ## Fuzz each parser of strangers' input for FUZZTIME (default 20s)
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),20s) $$package; \
		done; done

.PHONY: bench
bench: build ## Measure everything, and write docs/benchmarks.md (needs wrk and nginx; about 30 minutes)
	$(GO) run ./bench

.PHONY: bench-peers
bench-peers: build ## Measure Casbin, cedar-go and the article's application (needs wrk, and Debian's packages that it names)
	$(GO) run ./bench -peers

.PHONY: clean
clean: ## Remove what was built (never the state directory)
	rm -rf bin
