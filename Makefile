# Everything on a fresh machine (Debian 12, root, Go): `make demo`, `make test`.
# One setting for every build, so that all of them share one build cache.
export CGO_ENABLED := 0
export GOTOOLCHAIN := local

CLUSTER := go -C hack/cluster run .
RELEASE := go -C hack/release run .
HANDOVER := mkdir -p .cluster; rm -f $(CURDIR)/.cluster/handover.txt; BELAY_TABLE=$(CURDIR)/.cluster/handover.txt go run ./hack/suite -run '$(RUN)' handover; \
	status=$$?; cat .cluster/handover.txt 2>/dev/null; exit $$status
GENERATED := api/v1alpha1/zz_generated.deepcopy.go config/crd config/grafana

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-sim test-integration test-handover test-extended test-engines test-mesh kill test-e2e bench bench-judge generate lint verify build images release push cluster-up cluster-down

help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Watch one good release be promoted and three bad ones be rolled back (KEEP=1 leaves it running)
	@go run ./hack/demo

test: ## Run every test, with one closing line of totals (RUN=regexp narrows it)
	@go run ./hack/suite -run '$(RUN)'

test-unit: ## Packages, and the planner's enumeration
	@go run ./hack/suite -run '$(RUN)' unit

test-sim: ## The simulated world
	@go run ./hack/suite -run '$(RUN)' sim

test-integration: ## API rules, guard and roles on a real API server
	@go run ./hack/suite -run '$(RUN)' integration

test-handover: ## The handover under Kubernetes' own Deployment controller and autoscaler
	@$(HANDOVER)

test-extended: ## The same with every disturbance at every point of a release (20 minutes), real metrics servers, images of the whole source twice, Argo CD and Flux, a mesh, and releases installed and upgraded on the real cluster
	@BELAY_EXTENDED=1; export BELAY_EXTENDED; $(HANDOVER)
	$(CLUSTER) build prometheus promtool
	go -C hack/servers build -o ../../.cluster/bin/victoria-metrics github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics
	go -C hack/servers/thanos build -tags slicelabels -ldflags='-s -w' -o ../../../.cluster/bin/thanos github.com/thanos-io/thanos/cmd/thanos
	go test -tags servers -count=1 ./test/servers
	BELAY_EXTENDED=1 go -C hack/release test -count=1 -timeout 30m -run TestTheSameSource .
	cd hack/gitops && ../../bin/golangci-lint run ./... && go test -count=1 .
	go -C hack/release test -count=1 -timeout 40m -v ./journeys
	$(MAKE) test-engines
	$(MAKE) test-mesh

test-engines: bin/golangci-lint bin/controller-gen ## Flux' and Argo CD's controllers deploy a guarded application on the real local cluster (the first time builds for half an hour)
	cd hack/gitops/argocd && ../../../bin/golangci-lint run ./...
	bin/golangci-lint run --build-tags engines ./test/engines
	go -C hack/gitops/flux build -ldflags='-s -w' -o ../../../.cluster/bin/kustomize-controller github.com/fluxcd/kustomize-controller
	go -C hack/gitops/argocd build -ldflags='-s -w' -o ../../../.cluster/bin/argocd .
	go test -tags engines -count=1 -timeout 30m -v ./test/engines

test-mesh: bin/golangci-lint bin/controller-gen ## Routes with a Service as their parent, with istiod and grpc-go's xds client on the real local cluster (the first time builds for ten minutes)
	cd hack/mesh && ../../bin/golangci-lint run ./...
	bin/golangci-lint run --build-tags mesh ./test/mesh
	go -C hack/mesh build -ldflags='-s -w' -o ../../.cluster/bin/pilot-discovery istio.io/istio/pilot/cmd/pilot-discovery
	go -C hack/mesh build -ldflags='-s -w' -o ../../.cluster/bin/mesh-server ./server
	go -C hack/mesh build -ldflags='-s -w' -o ../../.cluster/bin/mesh-client ./client
	go test -tags mesh -count=1 -timeout 25m -v ./test/mesh

kill: ## Seed known bugs, one at a time, and show which check notices each (half an hour; RUN=regexp narrows it)
	@go test -tags kill -count=1 -timeout 3h -v -run 'TestTheTable|TestWhatCounts|TestEveryBugIsKilled/($(RUN))' ./test/kill

test-e2e: ## Journeys on the real local cluster, under load
	@go run ./hack/suite -run '$(RUN)' e2e

bench: ## Benchmarks of the planner, the judge and the evidence
	go test -run '^$$' -bench . -benchmem ./controllers/... ./analysis/...

bench-judge: ## The judge against its targets and its peers, and the cost of a poll (RUNS=10000 for exact figures, CLUSTER=1 adds 80 real releases)
	go run ./hack/bench-judge -peers -bar -runs $(or $(RUNS),1000)
	go test -run '^$$' -bench FleetPoll -benchtime 5x ./controllers/sources
	$(if $(CLUSTER),go run ./hack/bench-cluster)

generate: bin/controller-gen ## Make deepcopy functions and CRDs from the types, and the dashboards
	bin/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...
	bin/controller-gen crd:allowDangerousTypes=false paths=./api/... output:crd:dir=config/crd
	go -C hack/dashboards run . -out ../../config/grafana

lint: bin/golangci-lint ## Linters, import rules and API conventions
	bin/golangci-lint run ./...
	cd hack/cluster && ../../bin/golangci-lint run ./...
	cd hack/release && ../../bin/golangci-lint run ./...
	cd hack/dashboards && ../../bin/golangci-lint run ./...

verify: generate lint ## What CI checks first: generated files current, linters, import rules, tidy modules
	@test -z "$$(git status --porcelain -- $(GENERATED))" || { git --no-pager diff -- $(GENERATED); echo "verify: generated files were not current: commit what \`make generate\` made"; exit 1; }
	go mod tidy -diff
	go -C hack/release mod tidy -diff
	go -C hack/dashboards mod tidy -diff
	go -C hack/gitops list -m all >/dev/null
	go -C hack/gitops/flux list -m all >/dev/null
	go -C hack/gitops/argocd list -m all >/dev/null
	go -C hack/mesh list -m all >/dev/null
	go vet ./...
	go -C hack/release vet ./...
	go -C hack/dashboards vet ./...
	go vet -tags servers,kill,engines,mesh ./test/...
	go test -tags kill -run TestTheTable ./test/kill

build: ## The controller, the command line and the comparer, as bin/belay-controller, bin/kubectl-belay and bin/belay-comparer
	go build -ldflags "-s -w -X main.version=$$(git describe --always --dirty 2>/dev/null || echo development)" -o bin/ ./cmd/...

images: ## Container images without Docker, as OCI layouts in dist/
	rm -rf dist
	@$(RELEASE) images -root ../.. -out ../../dist -version '$(VERSION)' $(if $(REGISTRY),-registry '$(REGISTRY)') $(if $(PLATFORMS),-platforms '$(PLATFORMS)')

release: ## Everything of a release into dist/: images, install.yaml, Helm chart, command line, SBOMs, checksums (VERSION=v0.1.0; REGISTRY=host/path; DOWNLOADS=https://…; PLATFORMS=linux/amd64 for these alone)
	rm -rf dist
	@$(RELEASE) all -root ../.. -out ../../dist -version '$(VERSION)' $(if $(REGISTRY),-registry '$(REGISTRY)') $(if $(DOWNLOADS),-downloads '$(DOWNLOADS)') $(if $(PLATFORMS),-platforms '$(PLATFORMS)')

push: ## Copy the images in dist/ to a registry (REGISTRY=host/path)
	@$(RELEASE) push -out ../../dist -registry '$(REGISTRY)'

cluster-up: ## Start the real local Kubernetes (the first time builds for about ten minutes)
	@$(CLUSTER) up

cluster-down: ## Stop it and leave nothing behind
	@$(CLUSTER) down

bin/controller-gen: hack/tools/go.mod
	@echo "building controller-gen"
	@go -C hack/tools build -o ../../$@ sigs.k8s.io/controller-tools/cmd/controller-gen

bin/golangci-lint: hack/tools/go.mod
	@echo "building golangci-lint (a minute or two, the first time)"
	@go -C hack/tools build -o ../../$@ sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter
