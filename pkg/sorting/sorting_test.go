package sorting

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct{ key, place int }

func items(n int) []item {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	list := make([]item, n)
	for i := range list {
		list[i] = item{random.IntN(n/2 + 1), i}
	}
	return list
}

func byKey(a, b item) int { return cmp.Compare(a.key, b.key) }

func TestListsAreSortedAsBySlices(t *testing.T) {
	for _, n := range []int{0, 1, 2, 11, 12, 13, 50, 1000} {
		got, want := items(n), items(n)
		Func(got, byKey)
		if slices.SortFunc(want, byKey); !slices.Equal(got, want) {
			t.Errorf("%d elements are in another order than by slices.SortFunc", n)
		}
		got, want = items(n), items(n)
		Stable(got, byKey)
		if slices.SortStableFunc(want, byKey); !slices.Equal(got, want) {
			t.Errorf("%d elements are in another order than by slices.SortStableFunc", n)
		}
	}
}
