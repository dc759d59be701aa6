# kubectl-runbooks. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Pinned tools, run from the module cache; none of them is in go.mod. They are compiled as by hand.
TOOL     := env -u CGO_ENABLED -u GOFLAGS go run
GOFUMPT  := $(TOOL) mvdan.cc/gofumpt@v0.12.0
GOLANGCI := $(TOOL) github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT := $(TOOL) github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
# v1.9.0 needs a module that was not to be had when this was pinned.
GOVULNCHECK := $(TOOL) golang.org/x/vuln/cmd/govulncheck@v1.3.0
# v2.17.0 and v2.18.2 need modules or a Go that were not to be had when this was pinned.
GORELEASER := $(TOOL) github.com/goreleaser/goreleaser/v2@v2.16.0

BIN      := $(CURDIR)/bin
CLUSTER  := $(BIN)/cluster
# go test, with what is skipped printed.
GOTEST   := $(BIN)/gotest
PREFIX   ?= $(HOME)/.local
PLUGINS  := $(patsubst cmd/kubectl-%,%,$(wildcard cmd/kubectl-*))
# What a binary says of itself in `version`; a source tree without git says nothing.
STAMP     = $(shell eval "$$(./test/release/version.sh 2>/dev/null)" && p=github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli && \
              echo "-X $$p.version=$$RELEASE_VERSION-dev -X $$p.commit=$$RELEASE_COMMIT")
LDFLAGS   = -s -w $(STAMP)

# Plugins, tests, releases and the cluster's programs share one compiled form of each package, wherever the checkout lies; the race
# detector needs another one, and the linter keeps Go's own. What is stripped needs no debug information: kubectl of nothing took 96 s
# without it and 108 with it, on two processors.
FORM     := -trimpath -gcflags=all=-dwarf=false
export GOFLAGS := $(filter-out $(FORM),$(shell go env GOFLAGS)) $(FORM)
export CGO_ENABLED := 0
# Where there is memory, it is used: compilers and tests collect garbage less often.
ROOMY := $(shell awk '/^MemAvailable/ && $$2 > 8000000 {print "GOGC=400"}' /proc/meminfo 2>/dev/null)
# The race detector needs a C compiler; without one the tests run all the same. Go's own linker takes 5.0 s of processor time
# for the tests of pkg/cli, and the C compiler's 7.7, which a package of the standard library that no test uses (plugin) would call for.
# Each program would sleep for a second before it ends, for races that come to light then.
RACE_ENV := CGO_ENABLED=1 GORACE=atexit_sleep_ms=100
RACE_FLAGS := -race $(if $(filter linux/amd64,$(shell go env GOOS)/$(shell go env GOARCH)),-ldflags=-linkmode=internal)

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: plugins cluster ## Build the plugins and the cluster program into bin/

.PHONY: plugins
plugins: ## Build the plugins into bin/
	@mkdir -p $(BIN)
	@ldflags="$(LDFLAGS)"; for p in $(PLUGINS); do $(ROOMY) go build -ldflags "$$ldflags" -o $(BIN)/kubectl-$${p//-/_} ./cmd/kubectl-$$p; done

# The first thing that the demo shows.
.PHONY: recorded
recorded:
	@mkdir -p $(BIN)
	@$(ROOMY) go build -ldflags "-s -w" -o $(BIN)/recorded ./plugins/nodeinfo/internal/recorded

.PHONY: cluster
cluster: ## Build the program that runs the embedded cluster into bin/
	@mkdir -p $(BIN)
	@cd test/cluster && $(ROOMY) go build -ldflags "-X github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build.compiledFrom=$$PWD" -o $(CLUSTER) .

.PHONY: demo
demo: ## All plugins on a recorded cluster, then on a real one: the embedded one, or yours with USE_CURRENT_CONTEXT=1
	@./test/demo/demo.sh

.PHONY: test
test: programs $(GOTEST) ## Everything that can run here: unit tests, then all on the embedded cluster
	@for of in "" ruby chromium; do ./test/deps.sh $$of; done
	@$(MAKE) --no-print-directory race
	@E2E_THEN=published $(MAKE) --no-print-directory e2e

# The race detector keeps all processors busy; this fills what the end-to-end tests leave idle at their end.
.PHONY: published
published:
	@$(MAKE) --no-print-directory package
	@$(MAKE) --no-print-directory browser

.PHONY: test-all
test-all: ## The same, and on clusters of other makes: a control plane of three nodes; enforced policies, provisioned volumes, Argo Rollouts, DNS caches on nodes, an old kubelet, IPv6, flannel, Karpenter
	@E2E_ALL=1 $(MAKE) --no-print-directory test

# The programs of the embedded cluster, CoreDNS among them, which the dns plugin's unit tests ask.
.PHONY: programs
programs: cluster
	@if [ "$$(uname -s)" = Linux ] && [ "$$(id -u)" = 0 ]; then $(CLUSTER) bin >/dev/null; fi

# Those that take longest come first. For half of its time test/faults waits, so that two others can run beside it (-p 3).
FIRST := ./test/faults
# What runs nothing beside anything has nothing for the race detector, which took 466 s of 1,730 for them.
ALONE := ./test/suite ./pkg/mask ./plugins/dns/internal/evaluate/resolver

.PHONY: unit
unit: $(GOTEST) ## Tests that need no cluster
	@./test/deps.sh
	$(ROOMY) $(if $(RACE),$(RACE_ENV)) $(GOTEST) $(RACE) -count=1 -timeout 20m -p 3 $(FIRST) $$(go list ./... | grep -v -e /test/e2e/ -e /test/release$$ -e /test/browser$$ $(ALONE:.%=-e %$$))
	$(ROOMY) $(GOTEST) -count=1 $(ALONE)
	cd test/cluster && $(GOTEST) -count=1 $$(go list ./... | grep -v /e2e$$)

.PHONY: race
race: ## The same with the race detector, which takes several times as long
	@./test/deps.sh
	@$(MAKE) --no-print-directory unit RACE="$$(command -v gcc >/dev/null && echo "$(RACE_FLAGS)")"

# goreleaser is compiled before the test, where no time limit runs.
.PHONY: package
package: $(GOTEST) ## Build this machine's archives as a release does, and install them with krew
	@$(GORELEASER) --version >/dev/null
	@./test/deps.sh ruby
	$(GOTEST) -count=1 ./test/release

.PHONY: browser
browser: $(GOTEST) ## Look at the HTML reports in a headless Chromium, which is installed on Debian as root
	@./test/deps.sh chromium
	$(GOTEST) -count=1 ./test/browser

.PHONY: $(GOTEST)
$(GOTEST):
	@mkdir -p $(BIN)
	@go build -o $(GOTEST) ./test/gotest

.PHONY: e2e
e2e: build $(GOTEST) ## Plugins through the real kubectl, on the embedded cluster or on E2E_KUBECONFIG
	./test/e2e/run.sh

.PHONY: bench
bench: build ## Measure the plugins on 1,000 nodes with 30,000 pods, beside a plain download: BENCH_ARGS='-nodes 5000 -pods 150000'
	@go build -o $(BIN)/scale ./test/scale
	$(BIN)/scale -bin $(BIN) $(BENCH_ARGS)

.PHONY: bench-nodeshell
bench-nodeshell: build ## Measure nodeshell beside kubectl debug node on the embedded cluster
	E2E_PACKAGES=nodeshell E2E_ARGS='-run ^$$ -bench . -benchtime 10x -v' ./test/e2e/run.sh

.PHONY: compare
compare: build ## Measure size and time of the plugins beside those of another commit: make compare OLD=COMMIT [NEW=COMMIT]
	./test/e2e/compare.sh "$(OLD)" "$(NEW)"

.PHONY: cluster-e2e
cluster-e2e: ## The embedded cluster's own faults, repairs and traces (about 15 minutes)
	@E2E_PACKAGES=cluster $(MAKE) --no-print-directory e2e

.PHONY: fuzz
fuzz: ## Each fuzz target for FUZZTIME (30s), and each value of the saved inputs replaced by each hostile one (20 minutes)
	@grep -rl '^func Fuzz' --include='*_test.go' pkg plugins | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$$file"); do \
			go test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$$target$$" -fuzztime $${FUZZTIME:-30s} -fuzzminimizetime 1s || exit 1; \
		done; \
	done
	HOSTILE=all go test ./plugins/... -run Hostile -timeout 60m

.PHONY: verify
verify: fmt-check tidy-check lint generated-check ## Formatting, go.mod, lint, generated files

.PHONY: fmt
fmt: ## Format the code
	$(GOFUMPT) -w $$(git ls-files '*.go')

.PHONY: fmt-check
fmt-check:
	@out=$$($(GOFUMPT) -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not formatted, run make fmt:"; echo "$$out"; exit 1; fi

.PHONY: tidy-check
tidy-check:
	go mod tidy -diff
	@for mod in $$(git ls-files 'test/*.mod'); do (cd $$(dirname $$mod) && go mod tidy -diff -modfile=$$(basename $$mod)) || exit 1; done

.PHONY: lint
lint: ## Lint
	$(GOLANGCI) run ./...
	cd test/cluster && $(GOLANGCI) run --config $(CURDIR)/.golangci.yaml ./...
	$(ACTIONLINT) -shellcheck= -pyflakes=

.PHONY: generate
generate: ## Write generated files anew
	go run ./docs/gen

.PHONY: generated-check
generated-check:
	go run ./docs/gen -check

.PHONY: install
install: plugins ## Install the plugins into PREFIX/bin (default ~/.local); no root needed
	@mkdir -p $(PREFIX)/bin
	@for p in $(PLUGINS); do install -m 0755 $(BIN)/kubectl-$${p//-/_} $(PREFIX)/bin/; \
	  printf '#!/bin/sh\nexec kubectl %s __complete "$$@"\n' "$$p" >$(PREFIX)/bin/kubectl_complete-$${p//-/_}; \
	  chmod 0755 $(PREFIX)/bin/kubectl_complete-$${p//-/_}; done
	@echo "installed into $(PREFIX)/bin: $(PLUGINS)"
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo "kubectl finds them once $(PREFIX)/bin is on your PATH" ;; esac

.PHONY: uninstall
uninstall: ## Remove what install wrote
	@for p in $(PLUGINS); do rm -f $(PREFIX)/bin/kubectl-$${p//-/_} $(PREFIX)/bin/kubectl_complete-$${p//-/_}; done

.PHONY: snapshot
snapshot: ## Build every archive and krew manifest as a release does; publish nothing
	@GORELEASER="$(GORELEASER)" ./test/release/snapshot.sh

.PHONY: release-test
release-test: ## Install what snapshot built, with krew, from a server on loopback
	go test -count=1 ./test/release -dist $(CURDIR)/dist

.PHONY: release
release: ## Build, sign and publish a tag; for the release workflow
	@mkdir -p $(BIN)
	@awk '/^## /{n++} n==1 && !/^## /' docs/CHANGELOG.md >$(BIN)/notes.md
	@GORELEASER="$(GORELEASER)" ./test/release/snapshot.sh release --clean --timeout=2h --release-notes=$(BIN)/notes.md

.PHONY: vuln
vuln: ## Look for known vulnerabilities in code that the plugins reach (asks vuln.go.dev)
	$(GOVULNCHECK) ./cmd/...

.PHONY: repro
repro: ## Show that two snapshots from different folders are equal to the byte
	./test/release/repro.sh

.PHONY: cluster-down
cluster-down: cluster ## Remove every embedded cluster
	$(CLUSTER) down --all

.PHONY: clean
clean: ## Remove bin/ and dist/
	rm -rf $(BIN) dist
