// Command sbom writes what a Go binary is made of as a CycloneDX document: the modules that the linker recorded in the
// binary, which is what is really in it. The same binary gives the same document.
package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"strings"
)

// The part of https://cyclonedx.org/docs/1.6/json/ that is used.
type document struct {
	Format      string      `json:"bomFormat"`
	SpecVersion string      `json:"specVersion"`
	Version     int         `json:"version"`
	Metadata    metadata    `json:"metadata"`
	Components  []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Ref        string     `json:"bom-ref"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Hashes     []hash     `json:"hashes,omitempty"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sbom BINARY DOCUMENT")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func write(binary, out string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("%q: %w", binary, err)
	}
	data, err := json.MarshalIndent(describe(info, os.Getenv("RELEASE_VERSION")), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(data, '\n'), 0o644)
}

// describe lists the standard library and every module. The main module's version is the release's: the binary records
// none when it is built outside the module cache.
func describe(info *debug.BuildInfo, version string) document {
	if version == "" {
		version = info.Main.Version
	}
	program := module(debug.Module{Path: info.Main.Path, Version: version})
	program.Type, program.Name = "application", path.Base(info.Path)
	program.PURL += "#" + strings.TrimPrefix(info.Path, info.Main.Path+"/")
	for _, s := range info.Settings {
		if s.Key == "GOOS" || s.Key == "GOARCH" {
			program.Properties = append(program.Properties, property{"build:" + s.Key, s.Value})
		}
	}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	components := []component{{Ref: "std", Type: "library", Name: "std", Version: goVersion, PURL: "pkg:golang/std@" + goVersion}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		components = append(components, module(*m))
	}
	return document{Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: metadata{program}, Components: components}
}

func module(m debug.Module) component {
	c := component{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version}
	c.Ref = c.PURL
	// go.sum's "h1:" is a base64 SHA-256 over the module's files.
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) == 32 {
		c.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
	}
	return c
}
