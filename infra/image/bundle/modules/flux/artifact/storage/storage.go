// Package storage keeps artifacts as files in one folder: <kind>/<namespace>/<name>/<file>.
package storage

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/lockedfile"
	"github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxcd/pkg/artifact/config"
)

const (
	folderMode = 0o700
	lockSuffix = ".lock"
)

// Storage is the folder of artifacts and the address it is served at.
type Storage struct {
	// BasePath is the folder; the artifact server shows all of it.
	BasePath string
	// Hostname is what artifacts' URLs begin with: a host with or without a port.
	Hostname string

	retention time.Duration
	records   int
}

// New returns the store that the options describe. Its folder must exist.
func New(options *config.Options) (*Storage, error) {
	info, err := os.Stat(options.StoragePath)
	if err != nil {
		return nil, fmt.Errorf("artifact storage: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("artifact storage: %s isn't a folder", options.StoragePath)
	}
	hostname, err := advertised(options)
	if err != nil {
		return nil, err
	}
	return &Storage{
		BasePath:  options.StoragePath,
		Hostname:  hostname,
		retention: options.ArtifactRetentionTTL,
		records:   options.ArtifactRetentionRecords,
	}, nil
}

func advertised(options *config.Options) (string, error) {
	if options.StorageAdvAddress != "" {
		return options.StorageAdvAddress, nil
	}
	host, port, err := net.SplitHostPort(options.StorageAddress)
	if err != nil {
		return "", fmt.Errorf("artifact storage: address %q: %w", options.StorageAddress, err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		if host, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("artifact storage: %w", err)
		}
	}
	return net.JoinHostPort(host, port), nil
}

// NewArtifactFor returns an artifact of an object, without content.
func (s *Storage) NewArtifactFor(kind string, object metav1.Object, revision, file string) meta.Artifact {
	artifact := meta.Artifact{
		Path:     path.Join(strings.ToLower(kind), object.GetNamespace(), object.GetName(), file),
		Revision: revision,
	}
	s.SetArtifactURL(&artifact)
	return artifact
}

// SetArtifactURL sets the address that an artifact is served at.
func (s *Storage) SetArtifactURL(artifact *meta.Artifact) {
	if artifact.Path != "" {
		artifact.URL = s.url(artifact.Path)
	}
}

func (s *Storage) url(file string) string {
	base := s.Hostname
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return strings.TrimRight(base, "/") + "/" + strings.TrimLeft(file, "/")
}

// SetHostname returns an address of this store with today's hostname; empty stays empty.
func (s *Storage) SetHostname(address string) string {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Path == "" {
		return ""
	}
	return s.url(parsed.Path)
}

// LocalPath returns an artifact's file; empty where its path leads nowhere in the folder.
func (s *Storage) LocalPath(artifact meta.Artifact) string {
	if artifact.Path == "" {
		return ""
	}
	file, err := securejoin.SecureJoin(s.BasePath, artifact.Path)
	if err != nil {
		return ""
	}
	return file
}

func (s *Storage) local(artifact meta.Artifact) (string, error) {
	if file := s.LocalPath(artifact); file != "" {
		return file, nil
	}
	return "", fmt.Errorf("artifact path %q isn't one of %s", artifact.Path, s.BasePath)
}

// MkdirAll makes an artifact's folder.
func (s *Storage) MkdirAll(artifact meta.Artifact) error {
	file, err := s.local(artifact)
	if err != nil {
		return err
	}
	return os.MkdirAll(filepath.Dir(file), folderMode)
}

// Lock keeps everybody else from writing an artifact until the returned function is called.
func (s *Storage) Lock(artifact meta.Artifact) (unlock func(), err error) {
	file, err := s.local(artifact)
	if err != nil {
		return nil, err
	}
	return lockedfile.MutexAt(file + lockSuffix).Lock()
}

// ArtifactExist says whether an artifact's file is there.
func (s *Storage) ArtifactExist(artifact meta.Artifact) bool {
	file, err := s.local(artifact)
	if err != nil {
		return false
	}
	info, err := os.Lstat(file)
	return err == nil && info.Mode().IsRegular()
}

// VerifyArtifact compares an artifact's file with the artifact's digest.
func (s *Storage) VerifyArtifact(artifact meta.Artifact) error {
	expected, err := digest.Parse(artifact.Digest)
	if err != nil {
		return fmt.Errorf("artifact digest %q: %w", artifact.Digest, err)
	}
	file, err := s.local(artifact)
	if err != nil {
		return err
	}
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	found, err := expected.Algorithm().FromReader(content)
	if err != nil {
		return err
	}
	if found != expected {
		return fmt.Errorf("%s has digest %s instead of %s", artifact.Path, found, expected)
	}
	return nil
}

// Remove removes an artifact's file; one that isn't there is no error.
func (s *Storage) Remove(artifact meta.Artifact) error {
	file, err := s.local(artifact)
	if err != nil {
		return err
	}
	if err = os.Remove(file); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// RemoveAll removes all artifacts of an artifact's object; it returns their folder, empty if there was none.
func (s *Storage) RemoveAll(artifact meta.Artifact) (string, error) {
	file, err := s.local(artifact)
	if err != nil {
		return "", err
	}
	folder := filepath.Dir(file)
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return folder, os.RemoveAll(folder)
}
