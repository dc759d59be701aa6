package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(r) }

// helpWidth is the column at which help breaks its lines, as pflag does for flags.
const helpWidth = 100

// Example formats a command's examples and puts the name under which the plugin was called for PROGRAM.
func Example(env *Env, text string) string {
	text = templates.Examples(strings.ReplaceAll(text, "PROGRAM", env.Program))
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// Long formats a command's description.
func Long(text string) string { return templates.LongDesc(text) }

// printHelp writes help without text templates: what it does, how to call it, examples, its own flags, then kubectl's.
func printHelp(env *Env, c *cobra.Command) {
	var b strings.Builder
	about := c.Long
	if about == "" {
		about = c.Short
	}
	for line := range strings.Lines(strings.TrimSpace(about) + "\n") {
		b.WriteString(output.Wrap(strings.TrimSpace(line), output.Terminal{TTY: true, Width: helpWidth}, 0, "") + "\n")
	}
	fmt.Fprintf(&b, "\nUsage:\n  %s\n", useLine(env, c))
	if c.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", strings.TrimRight(c.Example, "\n"))
	}
	if rows := subcommands(c); rows != "" {
		fmt.Fprintf(&b, "\nCommands:\n%s", rows)
	}
	own, connection := pflag.NewFlagSet("", 0), pflag.NewFlagSet("", 0)
	sortInto := func(f *pflag.Flag) {
		if _, ok := f.Annotations[connectionGroup]; ok {
			connection.AddFlag(f)
			return
		}
		own.AddFlag(f)
	}
	c.LocalFlags().VisitAll(sortInto)
	c.InheritedFlags().VisitAll(sortInto)
	if usages := own.FlagUsagesWrapped(helpWidth); usages != "" {
		fmt.Fprintf(&b, "\nFlags:\n%s", usages)
	}
	if usages := connection.FlagUsagesWrapped(helpWidth); usages != "" {
		fmt.Fprintf(&b, "\nConnection flags, as in kubectl:\n%s", usages)
	}
	fmt.Fprint(env.Streams.Out, b.String())
}

func useLine(env *Env, c *cobra.Command) string {
	line := env.Program
	if c.HasParent() {
		line += strings.TrimPrefix(c.Parent().CommandPath(), env.Program) + " " + c.Use
	} else if _, args, ok := strings.Cut(c.Use, " "); ok {
		line += " " + args
	}
	return line + " [flags]"
}

func subcommands(c *cobra.Command) string {
	var b strings.Builder
	width := 0
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			width = max(width, len(sub.Name()))
		}
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(&b, "  %-*s   %s\n", width, sub.Name(), sub.Short)
		}
	}
	return b.String()
}
