package rolloutexplain

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// atOnce is how many scenarios run side by side. They mostly wait for back-offs and probes, so there are more than cores;
// a run with more made the waits on two cores late.
const atOnce = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if os.Getenv(updateEnv) != "" {
		if err := writePage(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
