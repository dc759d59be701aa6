package model

import (
	"cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// Asks is what judging finds unread: it is handed to whoever judges, answers whether a lookup has been made, and gives
// back those that have not. What was read is never changed by a question.
type Asks struct {
	wide  bool // a table of many
	logs  bool // which reads logs, too
	quiet bool // nothing is asked
	made  map[Need]bool
	open  map[Need]bool
}

// mostLogs is of how many containers a table of many reads the log: enough to see what failing rollouts have in common.
const mostLogs = 20

// NewAsks knows the lookups that have been made. A table of many (Wide) makes only those that all rollouts share.
func NewAsks(made []Need, o Options) *Asks {
	a := &Asks{wide: o.Wide, logs: o.WideLogs, made: map[Need]bool{}, open: map[Need]bool{}}
	for _, n := range made {
		a.made[n] = true
	}
	return a
}

// Have says whether a lookup has been made, and asks for it where it has not.
func (a *Asks) Have(n Need) bool {
	if a.made[n] {
		return true
	}
	if !a.quiet && a.shared(n) {
		a.open[n] = true
	}
	return false
}

// Made says whether a lookup has been made, and asks for nothing.
func (a *Asks) Made(n Need) bool { return a.made[n] }

// Quiet answers the same and asks for nothing: for the rest of many pods in one state.
func (a *Asks) Quiet() *Asks {
	return &Asks{wide: a.wide, quiet: true, made: a.made}
}

// shared leaves out, for a table of many, the lookups that each rollout would make for itself.
func (a *Asks) shared(n Need) bool {
	if n.Kind == NeedLog {
		return !a.wide || a.logs && a.countLogs() < mostLogs
	}
	switch n.Kind {
	case NeedNames, NeedClaim, NeedVolume, NeedDeviceClaim, NeedNode:
		return !a.wide
	}
	return !a.wide || n.UID == ""
}

func (a *Asks) countLogs() int {
	count := 0
	for _, needs := range []map[Need]bool{a.made, a.open} {
		for n := range needs {
			if n.Kind == NeedLog {
				count++
			}
		}
	}
	return count
}

// Open gives the lookups that were asked for and have not been made, in a fixed order.
func (a *Asks) Open() []Need {
	needs := make([]Need, 0, len(a.open))
	for n := range a.open {
		needs = append(needs, n)
	}
	sorting.Func(needs, func(x, y Need) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name),
			cmp.Compare(x.UID, y.UID), cmp.Compare(x.Container, y.Container), plain.Int(x.Previous)-plain.Int(y.Previous))
	})
	return needs
}
