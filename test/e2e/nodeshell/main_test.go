package nodeshell

import (
	"flag"
	"os"
	"testing"
)

// Most of these tests wait for leases and pods to end: more of them at once than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "4") // a number it takes
	}
	os.Exit(m.Run())
}
