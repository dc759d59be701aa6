package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyLength keeps paths readable; 16 hex digits are 64 bits.
const keyLength = 16

// Key hashes what a component is made from: its sources with go.mod and go.sum
// (which pin every module it uses), the toolchain, and the flags.
func Key(dir string, c Component, toolchain string) (string, error) {
	sum := sha256.New()
	field(sum, toolchain, c.LDFlags, strings.Join(c.Packages, " "), strings.Join(c.Links, " "))
	if c.Manifest.Path != "" {
		field(sum, c.Manifest.Module, c.Manifest.Path)
	}
	for _, file := range c.Definitions {
		field(sum, "definition", file.Module, file.Path)
	}
	if c.Manifest.Of != "" {
		versions, err := os.ReadFile(filepath.Join(c.Manifest.source(dir), "go.mod"))
		if err != nil {
			return "", fmt.Errorf("hash component %q: %w", c.Name, err)
		}
		field(sum, string(versions))
	}
	if c.ModFile != "" {
		field(sum, c.ModFile)
	}
	if c.Program != "" {
		field(sum, "named", c.Program)
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || c.isOtherVersion(dir, path) {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // read-only
		info, err := file.Stat()
		if err != nil {
			return err
		}
		field(sum, filepath.ToSlash(relative), fmt.Sprint(info.Size()))
		_, err = io.Copy(sum, file)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash component %q: %w", c.Name, err)
	}
	return Short(sum), nil
}

// isOtherVersion says whether a file is a module file, or its sums, that this component is not built with.
func (c Component) isOtherVersion(dir, path string) bool {
	name, isModule := strings.CutSuffix(path, ".mod")
	if !isModule {
		name, isModule = strings.CutSuffix(path, ".sum")
	}
	return isModule && filepath.Dir(path) == filepath.Clean(dir) && filepath.Base(name) != strings.TrimSuffix(c.modFile(), ".mod")
}

// field adds values so that no two lists of values look alike.
func field(sum hash.Hash, values ...string) {
	for _, v := range values {
		fmt.Fprintf(sum, "%d:%s\n", len(v), v)
	}
}

// Short is the key form of a hash.
func Short(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil))[:keyLength] }

// KeyOf hashes a list of values.
func KeyOf(values ...string) string {
	sum := sha256.New()
	field(sum, values...)
	return Short(sum)
}
