package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libraryDirs is where Debian and its relatives keep shared libraries.
var libraryDirs = []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
	"/lib64", "/usr/lib64", "/lib", "/usr/lib",
}

// WithLibraries lists programs together with the loader and every shared
// library they need, directly or not, each under its own path.
func WithLibraries(programs ...string) ([]File, error) {
	files := map[string]string{}
	for _, p := range programs {
		if err := needs(p, files); err != nil {
			return nil, fmt.Errorf("libraries of %q: %w", p, err)
		}
	}
	var list []File
	for path, source := range files {
		list = append(list, File{Path: path, Source: source})
	}
	slices.SortFunc(list, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// needs follows DT_NEEDED, as the dynamic loader does, and the loader itself.
func needs(path string, files map[string]string) error {
	if _, done := files[path]; done {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	files[path] = real
	program, err := elf.Open(real)
	if err != nil {
		return err
	}
	defer program.Close() //nolint:errcheck // read-only
	if section := program.Section(".interp"); section != nil {
		loader, err := section.Data()
		if err != nil {
			return err
		}
		if err := needs(strings.TrimRight(string(loader), "\x00"), files); err != nil {
			return err
		}
	}
	libraries, err := program.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, library := range libraries {
		found, err := findLibrary(library)
		if err != nil {
			return err
		}
		if err := needs(found, files); err != nil {
			return err
		}
	}
	return nil
}

func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no library " + name)
}
