// Command gen writes the generated documentation: docs/reference (every command and flag) and docs/findings (every
// finding code). With -check it writes nothing and fails where a file on disk differs.
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

// plugin is what a page is made of. A plugin without findings (a session) has no catalogue.
type plugin struct {
	name      string
	command   func(*cli.Env) *cobra.Command
	catalogue func() []finding.Entry
}

func main() {
	check := flag.Bool("check", false, "write nothing; fail where a file differs")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	pages := map[string][]byte{}
	for _, p := range plugins() {
		pages["docs/reference/"+p.name+".md"] = reference(p)
		if p.catalogue != nil {
			pages["docs/findings/"+p.name+".md"] = findings(p)
		}
	}
	var stale []string
	for path, page := range pages {
		if check {
			if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, page) {
				stale = append(stale, path)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, page, 0o644); err != nil {
			return err
		}
	}
	if len(stale) > 0 {
		slices.Sort(stale)
		return fmt.Errorf("not fresh, run make generate: %s", strings.Join(stale, ", "))
	}
	return nil
}

// reference is the help of a plugin and of each of its commands.
func reference(p plugin) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# kubectl %s\n\nGenerated from the command's own help. The workflow is in [%s.md](../%s.md).\n", p.name, p.name, p.name)
	var walk func(path []string)
	walk = func(path []string) {
		env := testkit.NewEnv("kubectl "+p.name, time.Time{})
		env.LookupEnv = func(string) (string, bool) { return "", false }
		root := p.command(env.Env)
		cli.Dress(env.Env, root)
		command, _, err := root.Find(path)
		if err != nil {
			command = root
		}
		if err := command.Help(); err != nil {
			panic(err)
		}
		heading := strings.Join(append([]string{"kubectl " + p.name}, path...), " ")
		text := env.Stdout.String()
		if len(path) > 0 {
			text, _, _ = strings.Cut(text, "\nConnection flags, as in kubectl:")
		}
		home, _ := os.UserHomeDir()
		if home != "" {
			text = strings.ReplaceAll(text, home, "$HOME")
		}
		fmt.Fprintf(&b, "\n## `%s`\n\n```text\n%s\n```\n", heading, strings.TrimSpace(text))
		for _, sub := range command.Commands() {
			if sub.IsAvailableCommand() {
				walk(append(slices.Clone(path), sub.Name()))
			}
		}
	}
	walk(nil)
	return b.Bytes()
}

// findings is the catalogue of a plugin's codes.
func findings(p plugin) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Findings of kubectl %s\n\nGenerated from the catalogue in the code. A code is stable: scripts may match it.\n\n| code | severity | what it says |\n|---|---|---|\n", p.name)
	entries := p.catalogue()
	for _, e := range entries {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", e.Code, strings.ToLower(e.Code), e.Severity, cell(e.Title))
	}
	for _, e := range entries {
		fmt.Fprintf(&b, "\n## %s\n\n**%s** (%s)\n\n%s\n\n- Evidence: %s\n- Next: %s\n", e.Code, e.Title, e.Severity, e.Meaning, e.Evidence, e.Next)
		if e.Source != "" {
			fmt.Fprintf(&b, "- Rule: <%s>\n", e.Source)
		}
	}
	return b.Bytes()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
