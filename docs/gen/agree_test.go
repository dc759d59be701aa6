package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// calls finds the command lines that call a plugin: "kubectl NAME …" at the beginning of a line or after "$ ", "PROGRAM &&"
// and the like; each ends where the shell would end it.
func calls(text, plugin string) [][]string {
	var found [][]string
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for rest := line; ; {
			i := strings.Index(rest, "kubectl "+plugin+" ")
			if i < 0 && strings.HasSuffix(strings.TrimSpace(rest), "kubectl "+plugin) {
				i = strings.LastIndex(rest, "kubectl "+plugin)
			}
			if i < 0 {
				break
			}
			rest = rest[i+len("kubectl "+plugin):]
			found = append(found, shellWords(rest))
		}
	}
	return found
}

// shellWords splits as a shell does, up to a pipe, a redirection, the end of a substitution or the next command.
func shellWords(line string) []string {
	var (
		list  []string
		word  strings.Builder
		quote rune
		open  bool
	)
	end := func() {
		if open {
			list = append(list, word.String())
		}
		word.Reset()
		open = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case strings.ContainsRune("|;&><)`#\n", r):
			end()
			return list
		case r == ' ' || r == '\t':
			end()
		default:
			word.WriteRune(r)
			open = true
		}
	}
	end()
	return list
}

// check parses a command line as the plugin would, without running it.
func check(p plugin, args []string) error {
	root, _ := dressed(p)
	if len(args) > 0 && args[0] == "__complete" {
		return nil
	}
	command, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	return command.ParseFlags(rest)
}

var (
	block = regexp.MustCompile("(?ms)^```(?:sh|console|yaml|text)?\n(.*?)^```")
	code  = regexp.MustCompile("`(kubectl [^`]+)`")
)

func TestEveryCommandInThePagesAndTheHelpIsUnderstood(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("docs/zh-CN/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(append(pages, more...), "README.md")
	texts := map[string]string{}
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			continue // README.md says itself when it is missing: test/suite
		}
		for _, b := range block.FindAllStringSubmatch(string(data), -1) {
			texts[page] += b[1]
		}
		for _, c := range code.FindAllStringSubmatch(block.ReplaceAllString(string(data), ""), -1) {
			texts[page] += strings.Join(strings.Fields(c[1]), " ") + "\n"
		}
	}
	for _, p := range plugins() {
		root, _ := dressed(p)
		var walk func(c *cobra.Command)
		walk = func(c *cobra.Command) {
			texts["help of "+c.CommandPath()] = c.Example
			for _, sub := range c.Commands() {
				walk(sub)
			}
		}
		walk(root)
	}
	checked := 0
	for where, text := range texts {
		for _, p := range plugins() {
			for _, args := range calls(text, p.name) {
				checked++
				if err := check(p, args); err != nil {
					t.Errorf("%s: kubectl %s %s: %v", where, p.name, strings.Join(args, " "), err)
				}
			}
		}
	}
	t.Logf("%d command lines", checked)
	if checked < 100 {
		t.Errorf("only %d command lines found", checked)
	}
}

// Help shows how each command is called; what has none of its own is named with its reason.
func TestEveryCommandHasExamples(t *testing.T) {
	without := map[string]string{"version": "takes no argument"}
	for _, p := range plugins() {
		root, _ := dressed(p)
		var walk func(c *cobra.Command)
		walk = func(c *cobra.Command) {
			if c.Runnable() && !c.Hidden && without[c.Name()] == "" {
				if found := calls(c.Example, p.name); len(found) == 0 && !strings.Contains(c.Example, "kubectl-") {
					t.Errorf("%s has no example", c.CommandPath())
				}
			}
			for _, sub := range c.Commands() {
				walk(sub)
			}
		}
		walk(root)
	}
}

func TestACommandThatIsNotUnderstoodIsSeen(t *testing.T) {
	p := demo()
	for line, ok := range map[string]bool{
		"kubectl demo --cache=x":                    true,
		"kubectl demo sub x --cache x":              false, // not a flag of sub
		"kubectl demo --nonsense":                   false,
		"kubectl demo sub 'a | b' | head --lines=1": true,
		"kubectl demo -- rm --nonsense":             true,
		"$(kubectl demo --cache y) --nonsense":      true,
	} {
		found := calls(line+"\n", "demo")
		if len(found) != 1 {
			t.Fatalf("%s: %q", line, found)
		}
		if err := check(p, found[0]); (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}
