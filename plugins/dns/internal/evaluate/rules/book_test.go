package rules

import "testing"

func TestTheBookIsWhole(t *testing.T) {
	if err := Book.Validate(); err != nil {
		t.Error(err)
	}
}
