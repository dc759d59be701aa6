package codes

import "testing"

func TestTheBookIsWhole(t *testing.T) {
	if err := Book.Validate(); err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if e.layer == "" {
			t.Errorf("%s has no layer", e.Code)
		}
	}
}
