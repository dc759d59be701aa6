package session

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// nodeOutput is what one node printed, for folding.
type nodeOutput struct {
	node string
	text string
	code string // shown when it is not 0
}

// fold groups nodes with identical output, as dshbak -c does: the largest group first, then by name.
func fold(outputs []nodeOutput) string {
	groups := map[[2]string][]string{}
	for _, o := range outputs {
		key := [2]string{o.text, o.code}
		groups[key] = append(groups[key], o.node)
	}
	keys := make([][2]string, 0, len(groups))
	for key := range groups {
		slices.Sort(groups[key])
		keys = append(keys, key)
	}
	sorting.Func(keys, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(len(groups[b]), len(groups[a])), cmp.Compare(groups[a][0], groups[b][0]))
	})
	var b strings.Builder
	for _, key := range keys {
		nodes := groups[key]
		title := strings.Join(nodes, ",")
		if len(nodes) > 1 {
			title = fmt.Sprintf("%s (%d nodes)", title, len(nodes))
		}
		if key[1] != "" && key[1] != "0" {
			title += ", exit code " + key[1]
		}
		fmt.Fprintf(&b, "== %s ==\n%s", title, key[0])
		if key[0] != "" && !strings.HasSuffix(key[0], "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
