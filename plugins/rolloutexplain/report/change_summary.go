package report

import (
	"slices"
	"strings"
)

// The API server writes these leaves by itself; of a part that is new they say nothing.
var defaults = []string{
	".terminationMessagePath", ".terminationMessagePolicy", ".imagePullPolicy", ".defaultMode",
	".successThreshold", ".scheme", ".timeoutSeconds",
}

// shown is how many leaves of a part are told.
const shown = 3

// Fold makes one change of the leaves of each part that was added or removed as a whole.
func Fold(changes []Change) []Change {
	at := map[string]int{}
	leaves := map[string][]string{}
	folded := make([]Change, 0, len(changes))
	for _, c := range changes {
		if c.Part == "" {
			folded = append(folded, c)
			continue
		}
		i, known := at[c.Kind+c.Part]
		if !known {
			i = len(folded)
			at[c.Kind+c.Part] = i
			folded = append(folded, Change{Path: c.Part, Kind: c.Kind})
		}
		folded[i].Relevant = folded[i].Relevant || c.Relevant
		if !slices.ContainsFunc(defaults, func(d string) bool { return strings.HasSuffix(c.Path, d) }) {
			leaves[c.Kind+c.Part] = append(leaves[c.Kind+c.Part], strings.TrimLeft(strings.TrimPrefix(c.Path, c.Part), ".")+" "+c.From+c.To)
		}
	}
	for key, i := range at {
		words := leaves[key]
		text := strings.Join(words[:min(shown, len(words))], ", ")
		if len(words) > shown {
			text += ", …"
		}
		if folded[i].Kind == "removed" {
			folded[i].From = text
		} else {
			folded[i].To = "(" + text + ")"
		}
	}
	return folded
}
