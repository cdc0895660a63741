// azlocal's own stand-in for the one library of Flux that the module proxy doesn't serve in any version that
// source-controller asks for. It offers what source-controller calls, written anew; no line is the project's.
module github.com/fluxcd/pkg/artifact

go 1.26.0

require (
	github.com/cyphar/filepath-securejoin v0.6.1
	github.com/fluxcd/pkg/apis/meta v1.30.2
	github.com/fluxcd/pkg/lockedfile v0.8.0
	github.com/fluxcd/pkg/sourceignore v0.18.0
	github.com/fluxcd/pkg/tar v1.2.0
	github.com/opencontainers/go-digest v1.0.0
	github.com/spf13/pflag v1.0.10
	k8s.io/apimachinery v0.36.4
)
