package nodeinfo

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/rbac"
)

// The roles that --rbac-manifest prints: of the table alone, of all that is read without being asked for, and with --kubelet.
const (
	roleMinimal = "minimal"
	roleFull    = "full"
	roleKubelet = "kubelet"
)

var roleNames = []string{roleMinimal, roleFull, roleKubelet}

// tableReads are the three lists of the table.
var tableReads = []string{" nodes", "coordination.k8s.io leases", "metrics.k8s.io nodes"}

// printRole prints a ClusterRole that can be applied as it is.
func printRole(out io.Writer, name string) error {
	role, err := rbac.Of("nodeinfo")
	if err != nil {
		return err
	}
	object := "kubectl-nodeinfo"
	if name != roleFull {
		object += "-" + name
	}
	_, err = fmt.Fprint(out, role.Manifest(object, func(p rbac.Permission) bool {
		switch name {
		case roleMinimal:
			return slices.Contains(tableReads, p.Group+" "+p.Resources)
		case roleKubelet:
			return rbac.Everyday(p) || strings.Contains(p.Option, "--kubelet")
		}
		return rbac.Everyday(p)
	}))
	return err
}
