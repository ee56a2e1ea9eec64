# Sallyport. 'make help' lists the targets. Everything is built without cgo.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED := 0

GO       ?= go
FUZZTIME ?= 30s
# Building images and mounting exFAT need root; without it, only the test programs
# and the demo are run through sudo.
as_root  := $(if $(filter 0,$(shell id -u)),,-exec "sudo -E env PATH=$(PATH)")
PROGRAMS := sallyportd sallyport-usbd sallyport-reader sallyport sallyport-verify

.PHONY: help deps build install demo demo-trust test e2e race fuzz bench lint clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the Debian packages that demo and tests use (root or sudo)
	@testdata/scripts/deps

build: ## build the static programs into bin/
	@mkdir -p bin
	$(GO) build -trimpath -buildvcs=auto -ldflags='-s -w' -o bin/ $(addprefix ./cmd/,$(PROGRAMS))

install: build ## install programs, units and firmware-config (below DESTDIR, if given)
	@testdata/scripts/install "$(DESTDIR)"

demo: deps build ## run the main job on real media images with a software TPM
	@$(GO) run $(as_root) ./internal/demo -bin bin

demo-trust: deps build ## run an authority's life: founding, enrolment, theft, rotation
	@$(GO) run ./internal/demo/ceremony -bin bin

test: deps build lint ## run all tests (a missing tool is fatal here)
	SALLYPORT_RING=host SALLYPORT_BIN=$(CURDIR)/bin $(GO) test $(as_root) -timeout 15m ./...

e2e: deps build ## boot a Debian guest and plug real USB devices into it (SALLYPORT_E2E=smoke: a few)
	SALLYPORT_RING=e2e SALLYPORT_BIN=$(CURDIR)/bin $(GO) test $(as_root) -count=1 -timeout 30m -v -run '$(if $(filter smoke,$(SALLYPORT_E2E)),TestStation,.)' ./internal/e2e

race: deps build ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 SALLYPORT_BIN=$(CURDIR)/bin $(GO) test -race -timeout 30m ./internal/control ./internal/usb/... ./internal/usbd ./internal/hotplug ./internal/floor ./internal/intake ./internal/station ./internal/tpm ./internal/vault ./internal/reader ./internal/audit ./internal/translog

fuzz: ## run every fuzz target for FUZZTIME each (default 30s)
	@FUZZTIME=$(FUZZTIME) testdata/scripts/fuzz

bench: deps build ## print speed and memory as ratios against other tools
	@$(GO) run ./internal/bench -bin bin

lint: ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l cmd internal); if [ -n "$$out" ]; then echo "not gofmt'd:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

clean: ## remove what was built
	rm -rf bin
