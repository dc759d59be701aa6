// Package trace lists what clusters have on this machine, as far as it can be seen without their records.
package trace

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Machine is everything of this machine on which a cluster could leave a trace, by kind. Pieces that change by themselves are cut off.
type Machine map[string][]string

// Look takes stock.
func Look(ctx context.Context) (Machine, error) {
	m := Machine{}
	for _, look := range []struct {
		kind    string
		keep    int // fields of a line
		command []string
	}{
		{"mount", 3, []string{"cat", "/proc/self/mounts"}},
		{"link", 2, []string{"ip", "-o", "link", "show"}},
		{"route", 99, []string{"ip", "route", "show", "table", "all"}},
		{"route", 99, []string{"ip", "-6", "route", "show", "table", "all"}},
		{"network namespace", 1, []string{"ip", "netns", "list"}},
		{"rule", 99, []string{"nft", "list", "ruleset"}},
	} {
		out, err := host.Run(ctx, "", look.command...)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			if fields := strings.Fields(line); len(fields) > 0 {
				// A bridge without running members is called linkdown, now and then.
				line := strings.Join(fields[:min(look.keep, len(fields))], " ")
				m[look.kind] = append(m[look.kind], strings.TrimSuffix(line, " linkdown"))
			}
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/kubectl-runbooks/*/*", "/sys/fs/cgroup/kubectl-runbooks/*/*"} {
		paths, _ := filepath.Glob(pattern) // no pattern is malformed
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				m["control group"] = append(m["control group"], path)
			}
		}
	}
	backings, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range backings {
		if file, err := os.ReadFile(path); err == nil {
			m["loop device"] = append(m["loop device"], strings.TrimSpace(string(file)))
		}
	}
	// Numbers of links are given anew.
	for i, line := range m["link"] {
		_, name, _ := strings.Cut(line, ": ")
		m["link"][i] = strings.TrimSuffix(name, ":")
	}
	return m, nil
}

// ours matches what can be of this program's making: its directories and groups, its links and its networks. Others use the machine as
// well, and their links come and go.
var ours = regexp.MustCompile(`kubectl-runbooks|\bkrb?[0-9t]|\b10\.(64|9[6-9]|10[0-9]|11[0-9]|12[0-7])\.|\bfd6b:7262:|/clusters/`)

// Ours says whether an item can be of this program's making.
func Ours(item string) bool { return ours.MatchString(item) }

// All are what clusters have, sorted: "KIND: ITEM".
func All(ctx context.Context) ([]string, error) {
	m, err := Look(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for kind, items := range m {
		for _, item := range items {
			if Ours(item) {
				all = append(all, kind+": "+item)
			}
		}
	}
	for _, p := range Processes("") {
		all = append(all, "process: "+p)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Processes lists processes that belong to a cluster ("": to any): by control group, or by a command line that names its directory.
func Processes(cluster string) []string {
	group, directory := "/", "/kubectl-runbooks/clusters/"
	if cluster != "" {
		group, directory = "/"+cluster+"/", "/clusters/"+cluster+"/"
	}
	var found []string
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range entries {
		of, _ := os.ReadFile(filepath.Join(dir, "cgroup")) // it may have ended
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		line := strings.ReplaceAll(string(bytes.TrimRight(command, "\x00")), "\x00", " ")
		_, within, in := strings.Cut(string(of), "/kubectl-runbooks")
		if in && strings.Contains(within, group) || strings.Contains(line, directory) {
			found = append(found, filepath.Base(dir)+" "+line)
		}
	}
	return found
}
