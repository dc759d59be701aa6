package rules

import "testing"

func TestTheBookIsWhole(t *testing.T) {
	if err := book.Validate(); err != nil {
		t.Error(err)
	}
}
