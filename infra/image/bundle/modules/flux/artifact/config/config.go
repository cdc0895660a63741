// Package config holds the settings of the artifact store and binds them to source-controller's flags.
package config

import (
	"time"

	"github.com/spf13/pflag"
)

// Options are the artifact store's settings.
type Options struct {
	StoragePath              string
	StorageAddress           string
	StorageAdvAddress        string
	ArtifactRetentionTTL     time.Duration
	ArtifactRetentionRecords int
	ArtifactDigestAlgo       string
}

// BindFlags binds the settings to the flags that source-controller documents, with their documented defaults.
func (o *Options) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.StoragePath, "storage-path", "/data", "The folder that artifacts are stored in.")
	flags.StringVar(&o.StorageAddress, "storage-addr", ":9090", "The address the static file server binds to.")
	flags.StringVar(&o.StorageAdvAddress, "storage-adv-addr", "",
		"The advertised address of the static file server; empty: this machine's name and the server's port.")
	flags.DurationVar(&o.ArtifactRetentionTTL, "artifact-retention-ttl", time.Minute,
		"How long artifacts of previous reconciliations are kept.")
	flags.IntVar(&o.ArtifactRetentionRecords, "artifact-retention-records", 2,
		"How many artifacts of a source are kept at most.")
	flags.StringVar(&o.ArtifactDigestAlgo, "artifact-digest-algo", "sha256",
		"The algorithm of artifacts' digests: sha256, sha384 or sha512.")
}
