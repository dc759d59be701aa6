package finding

import (
	"cmp"
	"slices"
	"time"
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
type Relation struct {
	Code   Code
	Began  time.Time
	Causes []Code
	Mute   bool
	Stance Stance
	Rank   int
	Depth  int
}

// Place is what a finding becomes among others: At is where it stood in the list, By the code of its cause, if one is known.
type Place struct {
	At   int
	Role Role
	By   Code
}

// Unrecorded is how long a cause can have been there before the cluster recorded it: the kubelet judges memory, disk and network
// every 10 s, and a busy one later. A rule whose cause takes longer dates its finding back.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
const Unrecorded = time.Minute

// explains says whether one finding can explain another, by their codes and by when they began.
func (r *Relation) explains(other *Relation) bool {
	return !r.Mute && r.Code != other.Code && (r.Began.IsZero() || other.Began.IsZero() || r.Began.Sub(other.Began) <= Unrecorded)
}

// Arrange gives roles and order, for all plugins alike. A finding is a consequence where a cause of it is in the list that is
// not younger than itself, and what is a consequence explains all the same. What is left is ordered by role, then rank, then
// depth, then as it stood; the first of the causes is the root, and the others contribute.
func Arrange(list []Relation) []Place {
	places := make([]Place, 0, len(list))
	for i, r := range list {
		p := Place{At: i, Role: RoleRoot}
		cause := slices.IndexFunc(r.Causes, func(c Code) bool {
			return slices.ContainsFunc(list, func(by Relation) bool { return by.Code == c && by.explains(&r) })
		})
		switch {
		case r.Stance == Beside:
			p.Role = RoleUnrelated
		case cause >= 0:
			p.Role, p.By = RoleConsequence, r.Causes[cause]
		case r.Stance == Follows:
			p.Role = RoleConsequence
		case r.Stance == Adds:
			p.Role = RoleContributing
		}
		places = append(places, p)
	}
	slices.SortStableFunc(places, func(x, y Place) int {
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
