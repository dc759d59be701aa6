// Package sorting sorts lists as slices.SortFunc does, with one body of code for all types of elements. The compiler makes another body of
// slices.SortFunc for each: 45 types took 590 kB of kubectl-nodeinfo, 2 percent. Where the time of sorting counts, slices.SortFunc is
// the better one.
package sorting

import "sort"

// Func sorts a list; compare is negative where a comes before b. Equal elements may change places.
func Func[S ~[]E, E any](list S, compare func(a, b E) int) { sort.Sort(sorter[E]{list, compare}) }

// Stable does the same, and keeps the order of equal elements.
func Stable[S ~[]E, E any](list S, compare func(a, b E) int) { sort.Stable(sorter[E]{list, compare}) }

type sorter[E any] struct {
	list    []E
	compare func(a, b E) int
}

func (s sorter[E]) Len() int           { return len(s.list) }
func (s sorter[E]) Less(i, j int) bool { return s.compare(s.list[i], s.list[j]) < 0 }
func (s sorter[E]) Swap(i, j int)      { s.list[i], s.list[j] = s.list[j], s.list[i] }
