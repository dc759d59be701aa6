package finding

import (
	"cmp"
	"slices"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Role is what a finding is to the question that its report answers. The words are part of the JSON contract.
type Role string

// The roles, in the order in which they are told.
const (
	RoleRoot         Role = "rootCause"    // why it is as it is
	RoleContributing Role = "contributing" // another cause next to the root cause
	RoleConsequence  Role = "consequence"  // follows from a cause
	RoleUnrelated    Role = "unrelated"    // true, but what is asked about does not wait for it
)

// rank orders roles; an unknown word sorts last.
func (r Role) rank() int {
	i := slices.Index([]Role{RoleRoot, RoleContributing, RoleConsequence, RoleUnrelated}, r)
	if i < 0 {
		return len(r)
	}
	return i
}

// Stance is what is known of one finding alone, where codes do not tell: whether what is asked about waits for it.
type Stance int

// The stances.
const (
	Blocks  Stance = iota // a cause, unless another finding explains it
	Adds                  // makes it worse, but is never the root
	Follows               // comes of another cause, be that found or not
	Beside                // nothing waits for it
)

// Relation is all that causality asks of a finding: which codes explain it (nearest first), whether it explains nothing
// itself, when it began (zero: not known), how it stands to what is asked about, how grave it is (0 is the worst), how near to
// the cause (0 is the nearest).
//
// Where one list holds findings about many objects, At are those on which it depends, and About those that it is about as a
// cause. A cause that names some explains only what depends on one of them and on no other of that kind, unless other causes
// account for that: two dead nodes explain a workload on both, and one of them does not.
type Relation struct {
	Code   Code
	Began  time.Time
	At     []ObjectRef
	About  []ObjectRef
	Causes []Code
	Mute   bool
	Stance Stance
	Rank   int
	Depth  int
}

// Place is what a finding becomes among others: At is where it stood in the list, By the code of its cause, if one is known, and
// Of where that stood in the list; -1: none is known.
type Place struct {
	At   int
	Role Role
	By   Code
	Of   int
}

// Unrecorded is how long a cause can have been there before the cluster recorded it: the kubelet judges memory, disk and network
// every 10 s, and a busy one later. A rule whose cause takes longer dates its finding back.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
const Unrecorded = time.Minute

// explains says whether one finding can explain another, by their codes and by when they began.
func (r *Relation) explains(other *Relation) bool {
	return !r.Mute && r.Code != other.Code && (r.Began.IsZero() || other.Began.IsZero() || r.Began.Sub(other.Began) <= Unrecorded)
}

// concerns says whether a cause is about what a finding depends on; others are all that can explain it.
func (r *Relation) concerns(other *Relation, others []*Relation) bool {
	if len(r.About) == 0 {
		return true
	}
	kinds := map[string]bool{}
	for _, o := range other.At {
		if slices.Contains(r.About, o) {
			kinds[o.Kind] = true
		}
	}
	if len(kinds) == 0 {
		return false
	}
	return !slices.ContainsFunc(other.At, func(o ObjectRef) bool {
		return kinds[o.Kind] && !slices.ContainsFunc(others, func(by *Relation) bool { return slices.Contains(by.About, o) })
	})
}

// causeOf is where in the list the nearest cause of a finding stands; -1: there is none. Of several of one code the first that
// concerns it counts.
func causeOf(r *Relation, list []Relation, at map[Code][]int) int {
	var others []*Relation
	for _, c := range r.Causes {
		for _, i := range at[c] {
			if list[i].explains(r) {
				others = append(others, &list[i])
			}
		}
	}
	for _, c := range r.Causes {
		for _, i := range at[c] {
			if list[i].explains(r) && list[i].concerns(r, others) {
				return i
			}
		}
	}
	return -1
}

// Arrange gives roles and order, for all plugins alike. A finding is a consequence where a cause of it is in the list that is
// not younger than itself, and what is a consequence explains all the same. What is left is ordered by role, then rank, then
// depth, then as it stood; the first of the causes is the root, and the others contribute.
func Arrange(list []Relation) []Place {
	at := map[Code][]int{}
	for i := range list {
		at[list[i].Code] = append(at[list[i].Code], i)
	}
	places := make([]Place, 0, len(list))
	for i := range list {
		r := &list[i]
		p := Place{At: i, Role: RoleRoot, Of: -1}
		cause := causeOf(r, list, at)
		switch {
		case r.Stance == Beside:
			p.Role = RoleUnrelated
		case cause >= 0:
			p.Role, p.By, p.Of = RoleConsequence, list[cause].Code, cause
		case r.Stance == Follows:
			p.Role = RoleConsequence
		case r.Stance == Adds:
			p.Role = RoleContributing
		}
		places = append(places, p)
	}
	sorting.Stable(places, func(x, y Place) int {
		a, b := list[x.At], list[y.At]
		return cmp.Or(cmp.Compare(x.Role.rank(), y.Role.rank()), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Depth, b.Depth))
	})
	for i := 1; i < len(places); i++ {
		if places[i].Role == RoleRoot {
			places[i].Role = RoleContributing
		}
	}
	return places
}
