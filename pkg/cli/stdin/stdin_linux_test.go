package stdin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The test binary is the command that is called, seventy times: it links little, and does not sleep for a second before its exit, as
// the race detector has it (https://go.dev/doc/articles/race_detector#Options).
func TestMain(m *testing.M) {
	if os.Getenv("STDIN_TEST") == "" {
		os.Exit(m.Run())
	}
	in := Meant(os.Stdin)
	fmt.Printf("%v%s ", in.Given, in.Holder)
}

// A list that a caller reads is left alone, however the loop is written; what was put there for the command is taken.
func TestStandardInputIsTakenOnlyWhereItWasMeant(t *testing.T) {
	dir := t.TempDir()
	loop := `while read -r n; do "$P"; done`
	for name, text := range map[string]string{"list": "a\nb\n", "x.sh": "#!/bin/bash\n" + loop + "\n", "dash": "#!/bin/dash\n" + loop + "\n", "once.sh": "#!/bin/sh\n\"$P\"\n:\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, line, want string }{
		{"a pipe", `echo a | "$P"`, "true "},
		{"a file", `"$P" <list`, "true "},
		{"a pipe, through a wrapper", `echo a | timeout 9 "$P"`, "true "},
		{"a pipe, in a function", `f() { echo a | "$P"; }; f`, "true "},
		{"a pipe, in $( )", `x=$(echo a | "$P"); echo "$x"`, "true \n"},
		{"a loop over a file", loop + " <list", "false false "},
		{"a loop over a pipe", "printf 'a\nb\n' | " + loop, "falseSHELL false "},
		{"a loop over a here-document", loop + " <<E\na\nb\nE", "falseSHELL false "},
		{"a loop in a function", "f() { " + loop + "; }; f <list", "false false "},
		{"a loop with $( )", `while read -r n; do x=$("$P"); printf '%s' "$x "; done <list`, "false  false  "},
		{"a loop with a wrapper", `while read -r n; do timeout 9 "$P"; done <list`, "false false "},
		{"a loop in a subshell", `while read -r n; do ( "$P"; : ); done <list`, "false false "},
		{"an executable script that loops", "./x.sh <list", "false false "},
		{"an executable script that loops over a pipe", "printf 'a\nb\n' | ./x.sh", "falsebash false "},
		{"one for dash", "./dash <list", "false false "},
		{"a script whose file nobody has read", "./once.sh <list", "true "},
		{"a script whose pipe nobody has read", "printf 'a\nb\n' | ./once.sh", "falsedash "},
		{"a shell that reads its commands", `printf '"$P"\necho end\n' | bash`, "falsebash end\n"},
		{"xargs", `xargs -n1 "$P" <list`, "false false "},
		{"no input", `"$P" </dev/null`, "false "},
		{"closed input", `"$P" <&-`, "false "},
	}
	// dash redirects itself: a here-document looks like a loop's, and is named.
	tests = append(tests, struct{ name, line, want string }{"a here-document", "\"$P\" <<E\na\nE", "HERE "})
	here := map[string]string{"bash": "true", "dash": "falsedash"}
	for _, shell := range []string{"bash", "dash"} {
		for _, test := range tests {
			command := exec.Command(shell, "-c", test.line)
			command.Dir, command.Env = dir, append(os.Environ(), "STDIN_TEST=1", "GORACE=atexit_sleep_ms=0", "P="+os.Args[0])
			out, err := command.CombinedOutput()
			if want := strings.NewReplacer("SHELL", shell, "HERE", here[shell]).Replace(test.want); err != nil || string(out) != want {
				t.Errorf("%s, %s: %v, got %q, want %q", shell, test.name, err, out, want)
			}
		}
	}
}
