// Package host is what the cluster needs of the machine it runs on: places on
// disk, locks, processes that can be told apart for certain, control groups and
// the few Debian packages.
package host

import (
	"fmt"
	"os"
	"path/filepath"
)

// Root is the directory that holds everything the program ever writes outside
// of control groups and the kernel's network: binaries, images, clusters.
// Being outside the checkout, it serves every checkout of a machine.
type Root string

// DefaultRoot follows the XDG base directory rule.
func DefaultRoot() (Root, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	return Root(filepath.Join(dir, "kubectl-runbooks")), nil
}

// Join names a path below the root.
func (r Root) Join(parts ...string) string {
	return filepath.Join(append([]string{string(r)}, parts...)...)
}

// WriteFile writes a file so that a reader sees either all of it or none, also
// when the writer is killed half-way.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // gone after the rename
	if _, err := temp.Write(data); err != nil {
		temp.Close() //nolint:errcheck // the write has failed already
		return err
	}
	if err := temp.Chmod(mode); err != nil {
		temp.Close() //nolint:errcheck // the chmod has failed already
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// Exists says whether there is something at path.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
