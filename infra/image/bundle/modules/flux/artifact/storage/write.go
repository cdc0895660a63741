package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
	"github.com/fluxcd/pkg/tar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxcd/pkg/artifact/digest"
)

// ArchiveFileFilter says of a file whether an archive leaves it out.
type ArchiveFileFilter func(file string, info os.FileInfo) bool

// SourceIgnoreFilter leaves out what the patterns, and the defaults for sources, say.
func SourceIgnoreFilter(patterns []gitignore.Pattern, domain []string) ArchiveFileFilter {
	matcher := sourceignore.NewDefaultMatcher(patterns, domain)
	return func(file string, info os.FileInfo) bool {
		return matcher.Match(strings.Split(file, string(filepath.Separator)), info.IsDir())
	}
}

// Archive packs a folder into an artifact's file and notes its digest and size.
func (s *Storage) Archive(artifact *meta.Artifact, folder string, filter ArchiveFileFilter) error {
	var options []tar.Option
	if filter != nil {
		options = append(options, tar.WithFilter(filter))
	}
	return s.write(artifact, func(target io.Writer) error {
		_, err := tar.Tar(folder, target, options...)
		return err
	})
}

// Copy writes an artifact's file from a reader and notes its digest and size.
func (s *Storage) Copy(artifact *meta.Artifact, source io.Reader) error {
	return s.write(artifact, func(target io.Writer) error {
		_, err := io.Copy(target, source)
		return err
	})
}

// CopyFromPath writes an artifact's file from another file and notes its digest and size.
func (s *Storage) CopyFromPath(artifact *meta.Artifact, file string) error {
	source, err := os.Open(file)
	if err != nil {
		return err
	}
	defer source.Close()
	return s.Copy(artifact, source)
}

// write lets a function fill a new file, which takes the artifact's place once it is whole.
func (s *Storage) write(artifact *meta.Artifact, fill func(io.Writer) error) (err error) {
	target, err := s.local(*artifact)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(draft.Name()))
		}
	}()
	digester := digest.Canonical.Digester()
	size := counter(0)
	err = fill(io.MultiWriter(draft, digester.Hash(), &size))
	if err = errors.Join(err, draft.Close()); err != nil {
		return err
	}
	if err = os.Rename(draft.Name(), target); err != nil {
		return err
	}
	written := int64(size)
	artifact.Digest = digester.Digest().String()
	artifact.Size = &written
	artifact.LastUpdateTime = metav1.NewTime(time.Now())
	return nil
}

type counter int64

func (c *counter) Write(content []byte) (int, error) {
	*c += counter(len(content))
	return len(content), nil
}

// CopyToPath unpacks a file or folder of an artifact to a path where nothing of that name is.
func (s *Storage) CopyToPath(artifact *meta.Artifact, part, target string) error {
	if artifact == nil {
		return errors.New("there is no artifact to copy from")
	}
	file, err := s.local(*artifact)
	if err != nil {
		return err
	}
	packed, err := os.Open(file)
	if err != nil {
		return err
	}
	defer packed.Close()
	work, err := os.MkdirTemp("", "artifact-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := tar.Untar(packed, work, tar.WithMaxUntarSize(tar.UnlimitedUntarSize)); err != nil {
		return err
	}
	source, err := securejoin.SecureJoin(work, part)
	if err != nil {
		return err
	}
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("%s isn't in the artifact %s: %w", part, artifact.Path, err)
	}
	if info.IsDir() {
		return os.CopyFS(target, os.DirFS(source))
	}
	if err := os.MkdirAll(filepath.Dir(target), folderMode); err != nil {
		return err
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return os.WriteFile(target, content, info.Mode().Perm())
}

// Symlink points a name beside an artifact's file to that file, and returns the address of that name.
func (s *Storage) Symlink(artifact meta.Artifact, name string) (string, error) {
	file, err := s.local(artifact)
	if err != nil {
		return "", err
	}
	link := filepath.Join(filepath.Dir(file), name)
	draft := link + ".new"
	if err := os.Remove(draft); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(filepath.Base(file), draft); err != nil {
		return "", err
	}
	if err := os.Rename(draft, link); err != nil {
		return "", err
	}
	return s.url(path.Join(path.Dir(artifact.Path), name)), nil
}
