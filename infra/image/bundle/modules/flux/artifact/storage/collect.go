package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
)

// GarbageCollect removes what an object's folder has beside its current artifact, if it is older than the
// retention or one too many. It returns the removed files.
func (s *Storage) GarbageCollect(ctx context.Context, current meta.Artifact, limit time.Duration) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	file, err := s.local(current)
	if err != nil {
		return nil, err
	}
	old, err := former(file)
	if err != nil {
		return nil, err
	}
	oldest := time.Now().Add(-s.retention)
	var removed []string
	for index, info := range old {
		// The current artifact is one of the records.
		if index+1 < s.records && info.ModTime().After(oldest) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		name := filepath.Join(filepath.Dir(file), info.Name())
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, err
		}
		if err := os.Remove(name + lockSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// former lists the artifacts beside a file, the newest first.
func former(file string) ([]os.FileInfo, error) {
	entries, err := os.ReadDir(filepath.Dir(file))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []os.FileInfo
	for _, entry := range entries {
		name := entry.Name()
		if !entry.Type().IsRegular() || name == filepath.Base(file) || strings.HasSuffix(name, lockSuffix) {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, info)
	}
	slices.SortFunc(found, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	return found, nil
}
