// Command gen writes the generated documentation: docs/reference and docs/man (every command and flag), docs/findings
// (every finding code, in Chinese in docs/zh-CN/findings), docs/schema (what -o json prints), docs/pictures (what a terminal
// shows) and docs/rbac.md. With -check it writes nothing and fails where a file on disk differs, or where one is left over.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// plugin is what a page is made of. A plugin without findings (a session) has no catalog.
type plugin struct {
	name    string
	command func(*cli.Env) *cobra.Command
	catalog func() []finding.Entry
	chinese func() []finding.Entry // the same codes, translated
	reports []any                  // a value of each type that -o json prints
}

// never is the date of a manual page: none, so that a page changes only with its text.
var never time.Time

// generated are the folders in which nothing else may lie.
var generated = []string{"docs/reference", "docs/man", "docs/findings", "docs/schema", "docs/pictures", "docs/zh-CN/findings"}

func main() {
	check := flag.Bool("check", false, "write nothing; fail where a file differs")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	pages, err := render(plugins())
	if err != nil {
		return err
	}
	if err := pictures(plugins(), pages); err != nil {
		return err
	}
	var stale []string
	for path, page := range pages {
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, page) {
			continue
		}
		stale = append(stale, path)
		if check {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, page, 0o644); err != nil {
			return err
		}
	}
	for _, folder := range generated {
		files, err := filepath.Glob(folder + "/*")
		if err != nil {
			return err
		}
		for _, path := range files {
			if pages[path] != nil {
				continue
			}
			stale = append(stale, path)
			if check {
				continue
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	if check && len(stale) > 0 {
		slices.Sort(stale)
		return fmt.Errorf("not fresh, run make generate: %s", strings.Join(stale, ", "))
	}
	return nil
}

// render gives every page by its path.
func render(plugins []plugin) (map[string][]byte, error) {
	permissions, err := permissionsPage(plugins)
	if err != nil {
		return nil, err
	}
	scheduled, err := cronJob()
	if err != nil {
		return nil, err
	}
	pages := map[string][]byte{"docs/rbac.md": permissions, "docs/cronjob.yaml": scheduled}
	for _, p := range plugins {
		pages["docs/reference/"+p.name+".md"] = reference(p)
		if err := manPages(p, pages); err != nil {
			return nil, err
		}
		if p.catalog != nil {
			pages["docs/findings/"+p.name+".md"] = findings(p.name, p.catalog(), english)
		}
		if p.chinese != nil {
			translated, err := translate(p.catalog(), p.chinese())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			pages["docs/zh-CN/findings/"+p.name+".md"] = findings(p.name, translated, chinese)
		}
		if len(p.reports) > 0 {
			page, err := schema(p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			pages["docs/schema/"+p.name+".json"] = page
		}
	}
	return pages, nil
}

// dressed is a plugin's command as a user meets it, and what it prints.
func dressed(p plugin) (*cobra.Command, testkit.Env) {
	env := testkit.NewEnv("kubectl "+p.name, time.Time{})
	root := p.command(env.Env)
	cli.Dress(env.Env, root)
	return root, env
}

// anywhere takes this machine out of a page.
func anywhere(text string) string {
	if home, err := os.UserHomeDir(); err == nil && home != "" && home != "/" {
		return strings.ReplaceAll(text, home, "$HOME")
	}
	return text
}
