// Package rbac holds what each plugin may ask of an API server, from which the published roles, the page of permissions and
// --rbac-manifest follow. Tests hold it against the requests that were recorded.
package rbac

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// Permission is one line of a role. Option is what the user has to ask for before it is used; such lines are not part of
// the role for everyday use.
type Permission struct {
	Group     string
	Resources string // several with commas; a path is a non-resource URL
	Verbs     string
	Use       string
	Option    string
}

// Role is what a plugin needs. test/e2e/install runs each plugin with exactly its role and demands that nothing is
// reported as forbidden.
type Role struct {
	Plugin      string
	About       string
	Permissions []Permission
}

//go:embed roles.txt
var table string

// Roles are those of all plugins; roles.txt says how it is written.
func Roles() ([]Role, error) { return read(table) }

// Of is the role of a plugin.
func Of(plugin string) (Role, error) {
	roles, err := Roles()
	at := slices.IndexFunc(roles, func(r Role) bool { return r.Plugin == plugin })
	switch {
	case err != nil:
		return Role{}, err
	case at < 0:
		return Role{}, fmt.Errorf("no role of %q", plugin)
	}
	return roles[at], nil
}

func read(text string) ([]Role, error) {
	var list []Role
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "# "); ok {
			plugin, about, _ := strings.Cut(title, ": ")
			list = append(list, Role{Plugin: plugin, About: about})
			continue
		}
		if line == "" || len(list) == 0 {
			continue // what stands above the first role is for its reader
		}
		fields := append(strings.Split(line, " | "), "") // most have no option
		if len(fields) != 4 && len(fields) != 5 {
			return nil, fmt.Errorf("a permission has three or four fields: %q", line)
		}
		p := Permission{Verbs: fields[0], Resources: fields[1], Use: fields[2], Option: fields[3]}
		if group, resources, ok := strings.Cut(p.Resources, " "); ok {
			p.Group, p.Resources = group, resources
		}
		last := &list[len(list)-1]
		last.Permissions = append(last.Permissions, p)
	}
	return list, nil
}

// Everyday are the permissions that are used without being asked for.
func Everyday(p Permission) bool { return p.Option == "" }

// Manifest is a ClusterRole in YAML, of the permissions that are taken.
func (r Role) Manifest(name string, taken func(Permission) bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: %s\nrules:\n", name)
	list := func(words string) string { return "[" + strings.ReplaceAll(words, ",", ", ") + "]" }
	for _, p := range r.Permissions {
		switch {
		case !taken(p):
		case strings.HasPrefix(p.Resources, "/"):
			fmt.Fprintf(&b, "  - nonResourceURLs: %s\n    verbs: %s\n", list(p.Resources), list(p.Verbs))
		default:
			fmt.Fprintf(&b, "  - apiGroups: [%q]\n    resources: %s\n    verbs: %s\n", p.Group, list(p.Resources), list(p.Verbs))
		}
	}
	return b.String()
}
