# Two commands are enough: make run, make test. make help lists the rest.

GO      ?= go
BIN     := bin/tskv
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
KILLS    ?= 50
FUZZTIME ?= 20s
BENCH    ?= .
COUNT    ?= 6

.PHONY: help run build test race lint fmt fuzz chaos bench docs check clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: build ## build and start the server on ./data
	./$(BIN) serve

build: ## build bin/tskv
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/tskv

test: ## all tests
	$(GO) test ./...

race: ## all tests under the race detector, the long ones shortened, and a server built with it
	$(GO) test -race -short $$($(GO) list ./... | grep -v tskv/tests/)
	$(GO) build -race -ldflags '$(LDFLAGS)' -o $(BIN)-race ./cmd/tskv
	GORACE=halt_on_error=1 TSKV_BIN=$(CURDIR)/$(BIN)-race TSKV_KILLS=8 $(GO) test ./tests/chaos -run TestKill -count=1

lint: ## formatting and static checks
	@out=$$($(GO) tool gofumpt -l .); if [ -n "$$out" ]; then echo "not gofumpt-clean:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) tool errcheck ./...
	$(GO) tool go-errorlint ./...

fmt: ## format all Go files
	$(GO) tool gofumpt -w .

fuzz: ## every fuzz test for FUZZTIME (20s)
	./tests/fuzz.sh $(FUZZTIME)

chaos: build ## kill -9 the server KILLS (50) times under load and check every answer
	TSKV_KILLS=$(KILLS) $(GO) test ./tests/chaos -run TestKill -count=1 -timeout 0 -v

bench: ## Go benchmarks, COUNT (6) runs each; BENCH selects
	$(GO) test ./... -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT)

docs: ## write docs/commands.md from the command table
	TSKV_UPDATE=1 $(GO) test ./net/command -run Markdown -count=1

check: lint test race fuzz chaos ## what CI runs

clean: ## remove what make made, never data
	rm -rf bin dist
