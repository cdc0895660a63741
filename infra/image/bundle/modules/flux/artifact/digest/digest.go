// Package digest says which algorithm artifacts' digests are made with.
package digest

import (
	// Registers the algorithms.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Canonical is the algorithm of new digests; source-controller sets it once, when it starts.
var Canonical = digest.SHA256

// AlgorithmForName returns the algorithm of that name, if it is one that digests can be made with.
func AlgorithmForName(name string) (digest.Algorithm, error) {
	algorithm := digest.Algorithm(name)
	if !algorithm.Available() {
		return "", fmt.Errorf("digest algorithm %q isn't available: use sha256, sha384 or sha512", name)
	}
	return algorithm, nil
}
