// Package target reads the objects that a command line names: NAME, TYPE/NAME or TYPE NAME…, as kubectl does.
package target

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Ref is a named object. Kind is one of the canonical kinds of the Kinds it was parsed with.
type Ref struct {
	Kind string
	Name string
}

// Kinds maps every word that the user may type ("deploy", "deployments", "deployments.apps") to a canonical kind.
type Kinds struct {
	Words   map[string]string
	Default string // kind of a bare NAME; empty: a bare name is an error
}

// One reads the value of a flag or argument that names one object: NAME, where the kinds have a default, or TYPE/NAME.
func (k Kinds) One(text string) (Ref, error) {
	refs, err := k.Parse([]string{text})
	if err != nil {
		return Ref{}, err
	}
	return refs[0], nil
}

// Parse reads arguments. Duplicates are dropped, order is kept. The error says what would be right.
func (k Kinds) Parse(args []string) ([]Ref, error) {
	refs, err := k.parse(args)
	if err != nil {
		return nil, err
	}
	for _, r := range refs {
		if err := checkName(r.Name); err != nil {
			return nil, err
		}
	}
	return unique(refs), nil
}

// checkName tells a URL or another mistake from the name of an object, before it is looked for in vain: nodes, pods,
// Services and workloads are named as DNS subdomains
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#names).
func checkName(name string) error {
	if len(validation.IsDNS1123Subdomain(name)) == 0 {
		return nil
	}
	return fmt.Errorf("%q is not an object name; valid names have lowercase letters, digits, '-' and '.'", name)
}

func (k Kinds) parse(args []string) ([]Ref, error) {
	if len(args) > 1 && !strings.Contains(args[0], "/") {
		if kind, ok := k.kind(args[0]); ok {
			return k.named(kind, args[0], args[1:])
		}
	}
	var refs []Ref
	for _, arg := range args {
		if strings.Contains(arg, "://") {
			return nil, fmt.Errorf("%q is a URL; expected an object name", arg)
		}
		word, name, slash := strings.Cut(arg, "/")
		switch {
		case !slash && k.Default == "":
			if _, ok := k.kind(word); ok {
				return nil, fmt.Errorf("%q: missing name; use %s/NAME or %s NAME", word, word, word)
			}
			return nil, fmt.Errorf("%q: missing type; use TYPE/NAME with a type of %s", arg, strings.Join(k.kinds(), ", "))
		case !slash:
			refs = append(refs, Ref{Kind: k.Default, Name: word})
			continue
		case name == "" || strings.Contains(name, "/"):
			return nil, fmt.Errorf("%q: expected TYPE/NAME", arg)
		}
		kind, ok := k.kind(word)
		if !ok {
			return nil, fmt.Errorf("%q: unknown type; valid types: %s", word, strings.Join(k.kinds(), ", "))
		}
		refs = append(refs, Ref{Kind: kind, Name: name})
	}
	return refs, nil
}

func (k Kinds) named(kind, word string, names []string) ([]Ref, error) {
	var refs []Ref
	for _, name := range names {
		if strings.Contains(name, "/") {
			return nil, fmt.Errorf("%q after type %q; use either TYPE NAME… or TYPE/NAME…", name, word)
		}
		refs = append(refs, Ref{Kind: kind, Name: name})
	}
	return refs, nil
}

func (k Kinds) kind(word string) (string, bool) {
	kind, ok := k.Words[strings.ToLower(word)]
	return kind, ok
}

func (k Kinds) kinds() []string {
	var kinds []string
	for _, kind := range k.Words {
		if word := strings.ToLower(kind); !slices.Contains(kinds, word) {
			kinds = append(kinds, word)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func unique(refs []Ref) []Ref {
	var kept []Ref
	for _, r := range refs {
		if !slices.Contains(kept, r) {
			kept = append(kept, r)
		}
	}
	return kept
}
