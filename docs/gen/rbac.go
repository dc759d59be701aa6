package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// permission is one line of a role. Option is what the user has to ask for before it is used; such lines are not part of
// the role for everyday use.
type permission struct {
	group     string
	resources string // several with commas; a path is a non-resource URL
	verbs     string
	use       string
	option    string
}

// role is what a plugin needs. test/e2e/install runs each plugin with exactly its role and demands that nothing is
// reported as forbidden.
type role struct {
	plugin      string
	about       string
	permissions []permission
}

// table is what the plugins may do; docs/gen/rbac.txt says how it is written.
//
//go:embed rbac.txt
var table string

// readRoles reads the table.
func readRoles(text string) ([]role, error) {
	var list []role
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "# "); ok {
			plugin, about, _ := strings.Cut(title, ": ")
			list = append(list, role{plugin: plugin, about: about})
			continue
		}
		if line == "" || len(list) == 0 {
			continue // what stands above the first role is for its reader
		}
		fields := append(strings.Split(line, " | "), "") // most have no option
		if len(fields) != 4 && len(fields) != 5 {
			return nil, fmt.Errorf("a permission has three or four fields: %q", line)
		}
		p := permission{verbs: fields[0], resources: fields[1], use: fields[2], option: fields[3]}
		if group, resources, ok := strings.Cut(p.resources, " "); ok {
			p.group, p.resources = group, resources
		}
		last := &list[len(list)-1]
		last.permissions = append(last.permissions, p)
	}
	return list, nil
}

// rbac is the page of permissions, of the plugins that there are.
func rbac(plugins []plugin) ([]byte, error) {
	roles, err := readRoles(table)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# Permissions\n\nGenerated; a test runs each plugin with exactly its role. What is missing is never guessed: a check that may not be made is named\nunder `sources`, and `--require-complete` turns that into exit code 4. Secrets are never read.\n")
	for _, r := range roles {
		if !slices.ContainsFunc(plugins, func(p plugin) bool { return p.name == r.plugin }) {
			continue
		}
		fmt.Fprintf(&b, "\n## kubectl %s\n\n%s\n\n| may | for |\n|---|---|\n", r.plugin, r.about)
		for _, p := range r.permissions {
			use := p.use
			if p.option != "" {
				use = "only with " + p.option + ": " + use
			}
			fmt.Fprintf(&b, "| %s `%s` | %s |\n", strings.ReplaceAll(p.verbs, ",", ", "), strings.Trim(p.group+" "+strings.ReplaceAll(p.resources, ",", ", "), " "), use)
		}
		fmt.Fprintf(&b, "\n```yaml\n%s```\n", r.yaml())
	}
	return b.Bytes(), nil
}

// yaml is the ClusterRole of what is used without being asked for.
func (r role) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: kubectl-%s\nrules:\n", r.plugin)
	list := func(words string) string { return "[" + strings.ReplaceAll(words, ",", ", ") + "]" }
	for _, p := range r.permissions {
		switch {
		case p.option != "":
		case strings.HasPrefix(p.resources, "/"):
			fmt.Fprintf(&b, "  - nonResourceURLs: %s\n    verbs: %s\n", list(p.resources), list(p.verbs))
		default:
			fmt.Fprintf(&b, "  - apiGroups: [%q]\n    resources: %s\n    verbs: %s\n", p.group, list(p.resources), list(p.verbs))
		}
	}
	return b.String()
}
