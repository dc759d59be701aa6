package main

import (
	"os"
	"path/filepath"
	"strings"
)

// faults is the directory of the files that break the driver, each for as long as it is there:
//   - prepare: no claim can be prepared; the text is the error.
//   - unhealthy: a line for each unhealthy device: its name, the effect of the taint that it is published with ("-": none), and what the
//     driver says of its health.
type faults string

// illness is of a device.
type illness struct{ effect, message string }

func (f faults) prepare() string { return f.read("prepare") }

func (f faults) ill() map[string]illness {
	ill := map[string]illness{}
	for line := range strings.Lines(f.read("unhealthy")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		effect, message, _ := strings.Cut(rest, " ")
		if name != "" {
			ill[name] = illness{effect: strings.Trim(effect, "-"), message: message}
		}
	}
	return ill
}

// read gives the text of a file; empty: there is none.
func (f faults) read(name string) string {
	data, err := os.ReadFile(filepath.Join(string(f), name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
