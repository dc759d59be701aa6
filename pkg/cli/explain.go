package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// Catalog is what --explain can explain: the entries of a plugin, and the same codes in Chinese.
type Catalog struct {
	Entries []finding.Entry
	Chinese []finding.Entry
}

const (
	english = "en"
	chinese = "zh"
)

// Explained gives the command --explain CODE and --lang: they print a catalog entry instead of running the
// command, so that nobody needs a cluster or a browser to learn what a code means.
func Explained(env *Env, command *cobra.Command, catalog Catalog) *cobra.Command {
	var code, language string
	set := command.Flags()
	set.StringVar(&code, "explain", "", "Print the meaning, evidence and next step of a finding code, then exit.")
	set.StringVar(&language, "lang", "", "Language of --explain: en or zh. Default: the locale in LC_ALL, LC_MESSAGES or LANG.")
	for _, name := range []string{"explain", "lang"} {
		set.Lookup(name).Annotations = map[string][]string{explainGroup: nil}
	}
	var codes []string
	for _, e := range catalog.Entries {
		codes = append(codes, string(e.Code)+"\t"+e.Title)
	}
	offer := map[string][]string{"explain": codes, "lang": {english, chinese}}
	for name, words := range offer {
		if err := command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // two completions for one flag: a mistake in this function
		}
	}
	wanted := func(c *cobra.Command) bool { return c.Flags().Changed("explain") }
	args, run := command.Args, command.RunE
	command.Args = func(c *cobra.Command, given []string) error {
		switch {
		case wanted(c):
			return noArgs(c, given)
		case args != nil:
			return args(c, given)
		case c.HasSubCommands() && len(given) > 0:
			return Usage(fmt.Errorf("unknown command %q", given[0])) // what cobra says of a command without Args
		}
		return nil
	}
	command.RunE = func(c *cobra.Command, given []string) error {
		switch {
		case wanted(c):
			return explain(env, c, catalog, code, language)
		case c.Flags().Changed("lang"):
			return Usage(fmt.Errorf("--lang applies to --explain only; all other output is in English"))
		case run != nil:
			return run(c, given)
		}
		return c.Help()
	}
	return command
}

// explainGroup marks flags that answer by themselves and never reach a command's options.
const explainGroup = "kubectl-runbooks/explain"

func explain(env *Env, c *cobra.Command, catalog Catalog, code, language string) error {
	language, err := explainLanguage(env, language)
	if err != nil {
		return Usage(err)
	}
	entry, err := catalog.Entry(code)
	if err != nil {
		return Usage(fmt.Errorf("--explain %w", err))
	}
	if translated, ok := find(catalog.Chinese, string(entry.Code)); ok && language == chinese {
		// Codes, severities and links have no language.
		translated.Code, translated.Severity, translated.Source = entry.Code, entry.Severity, entry.Source
		entry = translated
	} else {
		language = english
	}
	if f := c.Flags().Lookup("output"); f != nil {
		if kind := output.FormatKind(f.Value.String()); kind == output.JSON || kind == output.YAML {
			return output.Format{Kind: kind}.Print(env.Streams.Out, entry)
		}
	}
	return printEntry(env.Streams.Out, entry, language)
}

// explainLanguage follows POSIX: LC_ALL, then LC_MESSAGES, then LANG, the first that is set and not empty.
func explainLanguage(env *Env, flag string) (string, error) {
	switch flag {
	case english, chinese:
		return flag, nil
	case "":
	default:
		return "", fmt.Errorf("--lang %q: unknown language; valid values: %s, %s", flag, english, chinese)
	}
	for _, key := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale, _ := env.LookupEnv(key); locale != "" {
			if strings.HasPrefix(locale, chinese) {
				return chinese, nil
			}
			break
		}
	}
	return english, nil
}

// Entry finds a code, forgiving its case. The error names those that are near.
func (c Catalog) Entry(code string) (finding.Entry, error) {
	entry, ok := find(c.Entries, code)
	if !ok {
		return entry, unknownCode(c.Entries, code)
	}
	return entry, nil
}

// find looks a code up, forgiving its case.
func find(entries []finding.Entry, code string) (finding.Entry, bool) {
	i := slices.IndexFunc(entries, func(e finding.Entry) bool { return strings.EqualFold(string(e.Code), code) })
	if i < 0 {
		return finding.Entry{}, false
	}
	return entries[i], true
}

func unknownCode(entries []finding.Entry, code string) error {
	var near []string
	for _, e := range entries {
		if code != "" && strings.Contains(strings.ToLower(string(e.Code)), strings.ToLower(code)) {
			near = append(near, string(e.Code))
		}
	}
	if len(near) == 0 {
		for _, e := range entries {
			near = append(near, string(e.Code))
		}
	}
	return fmt.Errorf("%q: unknown finding code; valid codes: %s", code, strings.Join(near, ", "))
}

func printEntry(w io.Writer, e finding.Entry, language string) error {
	labels := map[string][3]string{english: {"Seen by", "Next", "Rule"}, chinese: {"依据", "下一步", "规则"}}[language]
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s\n\n%s\n", e.Code, e.Severity, e.Title, cmp.Or(e.Meaning, e.Title))
	for i, text := range []string{e.Evidence, e.Next, e.Source} {
		if text != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", labels[i], text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
