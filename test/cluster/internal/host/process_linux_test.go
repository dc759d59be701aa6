package host

import "testing"

func TestStartTime(t *testing.T) {
	// Fields 3 to 22 are counted after the name's last bracket.
	rest := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 99"
	for name, test := range map[string]struct {
		stat string
		want uint64
		fail bool
	}{
		"plain name":              {stat: "7 (sleep)" + rest, want: 4242},
		"name with blanks":        {stat: "7 (a b c)" + rest, want: 4242},
		"name that looks like it": {stat: "7 (x) S 1 (y)" + rest, want: 4242},
		"no name":                 {stat: "7 sleep S 1", fail: true},
		"too short":               {stat: "7 (sleep) S 1 2", fail: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := startTime([]byte(test.stat))
			if (err != nil) != test.fail || got != test.want {
				t.Fatalf("got %d, %v", got, err)
			}
		})
	}
}
