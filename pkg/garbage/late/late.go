// Package late lets the first garbage collection of a command wait. Mains import it for that effect, and nothing else does: since it
// needs next to nothing, it is initialized before the packages of client-go, which take the 3 MB after which Go collects.
package late

import "github.com/kubectl-runbooks/kubectl-runbooks/pkg/garbage"

var _ = func() struct{} {
	garbage.Late()
	return struct{}{}
}()
