package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func explaining(env *cli.Env) *cobra.Command {
	command := &cobra.Command{
		Use: "demo", Long: cli.Long("Demonstrate."), Args: cobra.ExactArgs(1),
		RunE: func(*cobra.Command, []string) error { env.Warn("ran"); return nil },
	}
	command.Flags().StringP("output", "o", "", "Format.")
	cli.AddConnectionFlags(env, command)
	return cli.Explained(env, command, cli.Catalog{
		Entries: []finding.Entry{
			{Code: "DiskFull", Severity: finding.Critical, Title: "The disk is full", Meaning: "No byte fits.", Evidence: "used = size", Next: "Delete files.", Source: "https://example.com/disk"},
			{Code: "DiskSlow", Severity: finding.Info, Title: "The disk is slow", Meaning: "It takes long."},
		},
		Chinese: []finding.Entry{{Code: "DiskFull", Title: "磁盘已满", Meaning: "没有剩余空间。", Evidence: "已用等于容量", Next: "删除文件。"}},
	})
}

func TestExplain(t *testing.T) {
	const inEnglish = "DiskFull (critical): The disk is full\n\nNo byte fits.\n\nSeen by: used = size\n\nNext: Delete files.\n\nRule: https://example.com/disk\n"
	const inChinese = "DiskFull (critical): 磁盘已满\n\n没有剩余空间。\n\n依据: 已用等于容量\n\n下一步: 删除文件。\n\n规则: https://example.com/disk\n"
	tests := []struct {
		name   string
		env    map[string]string
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"in English", nil, "--explain DiskFull", 0, inEnglish, ""},
		{"in any case", nil, "--explain diskfull", 0, inEnglish, ""},
		{"in Chinese by LANG", map[string]string{"LANG": "zh_CN.UTF-8"}, "--explain DiskFull", 0, inChinese, ""},
		{"LC_ALL beats LANG", map[string]string{"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "--explain DiskFull", 0, inEnglish, ""},
		{"an empty LC_ALL is none", map[string]string{"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "--explain DiskFull", 0, inChinese, ""},
		{"--lang beats the environment", map[string]string{"LANG": "zh_CN.UTF-8"}, "--explain DiskFull --lang en", 0, inEnglish, ""},
		{"--lang zh", nil, "--explain DiskFull --lang zh", 0, inChinese, ""},
		{"English where there is no translation", nil, "--explain DiskSlow --lang zh", 0, "DiskSlow (info): The disk is slow\n\nIt takes long.\n", ""},
		{"as JSON", nil, "--explain DiskSlow -o json", 0, "{\n    \"code\": \"DiskSlow\",\n    \"severity\": \"info\",\n    \"title\": \"The disk is slow\",\n    \"meaning\": \"It takes long.\",\n    \"evidence\": \"\",\n    \"next\": \"\"\n}\n", ""},
		{"an unknown code", nil, "--explain Cpu", 1, "", "error: --explain \"Cpu\": unknown finding code; valid codes: DiskFull, DiskSlow\nSee 'kubectl demo --help'.\n"},
		{"part of a code", nil, "--explain slow", 1, "", "error: --explain \"slow\": unknown finding code; valid codes: DiskSlow\nSee 'kubectl demo --help'.\n"},
		{"no code", nil, "--explain=", 1, "", "error: --explain \"\": unknown finding code; valid codes: DiskFull, DiskSlow\nSee 'kubectl demo --help'.\n"},
		{"an unknown language", nil, "--explain DiskFull --lang fr", 1, "", "error: --lang \"fr\": unknown language; valid values: en, zh\nSee 'kubectl demo --help'.\n"},
		{"a language for nothing", nil, "x --lang zh", 1, "", "error: --lang applies to --explain only; all other output is in English\nSee 'kubectl demo --help'.\n"},
		{"with an argument", nil, "--explain DiskFull x", 1, "", "error: unexpected argument \"x\"\nSee 'kubectl demo --help'.\n"},
		{"without it the command runs", nil, "x", 0, "", "ran\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := testkit.NewEnv("kubectl demo", time.Time{})
			env.LookupEnv = func(key string) (string, bool) { v, ok := tt.env[key]; return v, ok }
			code := env.Run(t, explaining, strings.Fields(tt.args)...)
			if code != tt.code || env.Stdout.String() != tt.stdout || env.Stderr.String() != tt.stderr {
				t.Errorf("got %d\nstdout %q\nstderr %q\nwant %d\n%q\n%q", code, env.Stdout, env.Stderr, tt.code, tt.stdout, tt.stderr)
			}
		})
	}
}

func TestExplainCompletesItsCodes(t *testing.T) {
	env := testkit.NewEnv("kubectl demo", time.Time{})
	env.Run(t, explaining, "__complete", "--explain", "Disk")
	if want := "DiskFull\tThe disk is full\nDiskSlow\tThe disk is slow\n"; !strings.HasPrefix(env.Stdout.String(), want) {
		t.Errorf("got %q", env.Stdout)
	}
}

func TestAVersionIsOfOneOfItsFormats(t *testing.T) {
	env := testkit.NewEnv("kubectl demo", time.Time{})
	env.Run(t, explaining, "__complete", "version", "-o", "")
	if !strings.HasPrefix(env.Stdout.String(), "json\nyaml\n") {
		t.Errorf("got %q", env.Stdout)
	}
}
