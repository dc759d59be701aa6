package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// reference is the help of a plugin and of each of its commands.
func reference(p plugin) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# kubectl %s\n\nGenerated from the command's own help. The workflow is in [%s.md](../%s.md).\n", p.name, p.name, p.name)
	var walk func(path []string)
	walk = func(path []string) {
		root, env := dressed(p)
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
		fmt.Fprintf(&b, "\n## `%s`\n\n```text\n%s\n```\n", heading, strings.TrimSpace(anywhere(text)))
		for _, sub := range command.Commands() {
			if sub.IsAvailableCommand() {
				walk(append(slices.Clone(path), sub.Name()))
			}
		}
	}
	walk(nil)
	return b.Bytes()
}

// manPages adds a manual page for a plugin and for each of its commands.
func manPages(p plugin, pages map[string][]byte) error {
	root, _ := dressed(p)
	var walk func(command *cobra.Command) error
	walk = func(command *cobra.Command) error {
		command.DisableAutoGenTag = true // it would bear today's date
		var b bytes.Buffer
		header := doc.GenManHeader{Section: "1", Source: "kubectl-runbooks", Manual: "kubectl plugins", Date: &never}
		if err := doc.GenMan(command, &header, &b); err != nil {
			return err
		}
		name := strings.ReplaceAll(command.CommandPath(), " ", "-")
		pages["docs/man/"+name+".1"] = []byte(anywhere(strings.Replace(b.String(), `"Jan 0001"`, `""`, 1)))
		for _, sub := range command.Commands() {
			if sub.IsAvailableCommand() {
				if err := walk(sub); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return walk(root)
}

// words are the fixed words of a findings page.
type words struct{ title, intro, head, evidence, next, rule, fixture, root, none string }

var (
	english = words{
		"Findings of kubectl %s", "Generated from the catalog in the code. A code is stable: scripts may match it. `kubectl %s --explain CODE` prints an entry.",
		"| code | severity | what it says |", "Evidence", "Next", "Rule", "Fixture", "../../",
		"It has no codes of its own: each finding has the code of the plugin that made it, " +
			"of [nodeinfo](nodeinfo.md), [dns](dns.md) or [rollout-explain](rollout-explain.md).",
	}
	chinese = words{
		"kubectl %s 的诊断代码", "由代码中的目录生成。代码保持稳定，脚本可以据此匹配。`kubectl %s --explain CODE --lang zh` 打印其中一条。",
		"| 代码 | 严重程度 | 含义 |", "依据", "下一步", "规则", "测试数据", "../../../",
		"它没有自己的代码：每个诊断结果都使用产生它的插件的代码，" +
			"即 [nodeinfo](nodeinfo.md)、[dns](dns.md) 或 [rollout-explain](rollout-explain.md)。",
	}
)

// findings is the catalog of a plugin's codes.
func findings(name string, entries []finding.Entry, w words) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# "+w.title+"\n\n"+w.intro+"\n", name, name)
	if len(entries) == 0 {
		fmt.Fprintf(&b, "\n%s\n", w.none)
		return b.Bytes()
	}
	fmt.Fprintf(&b, "\n%s\n|---|---|---|\n", w.head)
	for _, e := range entries {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", e.Code, strings.ToLower(string(e.Code)), e.Severity, cell(e.Title))
	}
	for _, e := range entries {
		fmt.Fprintf(&b, "\n## %s\n\n**%s** (%s)\n\n%s\n\n- %s: %s\n- %s: %s\n", e.Code, e.Title, e.Severity, e.Meaning, w.evidence, e.Evidence, w.next, e.Next)
		if e.Source != "" {
			fmt.Fprintf(&b, "- %s: <%s>\n", w.rule, e.Source)
		}
		// A fixture is a folder named as its code: what was read, and the report on it.
		fixture := "plugins/" + strings.ReplaceAll(name, "-", "") + "/internal/evaluate/testdata/" + string(e.Code)
		if _, err := os.Stat(fixture); err == nil {
			fmt.Fprintf(&b, "- %s: [%s](%s)\n", w.fixture, e.Code, w.root+fixture)
		}
	}
	return b.Bytes()
}

// translate puts the texts of a translation under the codes, severities and links of the catalog. Both hold the same
// codes, or one has fallen behind.
func translate(entries, translated []finding.Entry) ([]finding.Entry, error) {
	texts := map[finding.Code]finding.Entry{}
	for _, e := range translated {
		if e.Title == "" || e.Meaning == "" {
			return nil, fmt.Errorf("the translation of %s is empty", e.Code)
		}
		texts[e.Code] = e
	}
	var list []finding.Entry
	for _, e := range entries {
		text, ok := texts[e.Code]
		if !ok {
			return nil, fmt.Errorf("%s is not translated", e.Code)
		}
		delete(texts, e.Code)
		text.Code, text.Severity, text.Source = e.Code, e.Severity, e.Source
		list = append(list, text)
	}
	for code := range texts {
		return nil, fmt.Errorf("%s is translated and not in the catalog", code)
	}
	return list, nil
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
