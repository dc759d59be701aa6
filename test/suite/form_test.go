package suite

import (
	"regexp"
	"testing"
)

// TestOneCompiledForm: plugins, releases and the programs of the embedded cluster are compiled with the same flags, wherever they are
// written. With others the client's packages are compiled once more, which takes a new machine a minute and a half; nothing else would
// tell.
func TestOneCompiledForm(t *testing.T) {
	written := map[string]*regexp.Regexp{
		"Makefile":                             regexp.MustCompile(`(?m)^FORM +:= (-trimpath) -gcflags=(all=\S+)$`),
		".goreleaser.yaml":                     regexp.MustCompile(`(?m)^ +flags: \[(-trimpath), -buildvcs=false\]\n +gcflags: \[(all=\S+)\]`),
		"test/cluster/internal/build/build.go": regexp.MustCompile(`"GOFLAGS=-buildvcs=false (-trimpath) -gcflags=(all=[^"\s]+)"`),
	}
	forms := map[string][]string{}
	for file, form := range written {
		found := form.FindStringSubmatch(read(t, file))
		if found == nil {
			t.Fatalf("%s: no flags of the compiler where %s looks for them", file, form)
		}
		forms[found[1]+" "+found[2]] = append(forms[found[1]+" "+found[2]], file)
	}
	if len(forms) != 1 {
		t.Errorf("compiled in more than one form: %v", forms)
	}
}
