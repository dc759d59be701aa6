package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/rbac"
)

// permissionsPage is the page of permissions, of the plugins that there are.
func permissionsPage(plugins []plugin) ([]byte, error) {
	roles, err := rbac.Roles()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# Permissions\n\nGenerated; a test runs each plugin with exactly its role. What is missing is never guessed: a check that may not be made is named\nunder `sources`, and `--require-complete` turns that into exit code 4. Secrets are never read.\n")
	for _, r := range roles {
		if !slices.ContainsFunc(plugins, func(p plugin) bool { return p.name == r.Plugin }) {
			continue
		}
		fmt.Fprintf(&b, "\n## kubectl %s\n\n%s\n\n| may | for |\n|---|---|\n", r.Plugin, r.About)
		for _, p := range r.Permissions {
			use := p.Use
			if p.Option != "" {
				use = "only with " + p.Option + ": " + use
			}
			fmt.Fprintf(&b, "| %s `%s` | %s |\n", strings.ReplaceAll(p.Verbs, ",", ", "), strings.Trim(p.Group+" "+strings.ReplaceAll(p.Resources, ",", ", "), " "), use)
		}
		fmt.Fprintf(&b, "\n```yaml\n%s```\n", r.Manifest("kubectl-"+r.Plugin, rbac.Everyday))
	}
	return b.Bytes(), nil
}
