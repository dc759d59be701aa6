package session

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// interpreter reads a script's first line and gives the command that takes the script from standard input. Scripts go
// over standard input because arguments travel in the URL, where they are logged and cut.
func interpreter(script []byte, args []string) ([]string, error) {
	words := []string{"sh"}
	if line, _, _ := bytes.Cut(script, []byte("\n")); bytes.HasPrefix(line, []byte("#!")) {
		words = strings.Fields(string(line[2:]))
		if len(words) > 1 && path.Base(words[0]) == "env" {
			words = words[1:]
		}
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("the first line of the script names no interpreter")
	}
	name := path.Base(words[0])
	switch {
	case name == "sh" || name == "bash" || name == "dash" || name == "ash" || name == "zsh" || name == "ksh":
		return append(append(words, "-s", "--"), args...), nil
	case strings.HasPrefix(name, "python") || name == "perl" || name == "ruby":
		return append(append(words, "-"), args...), nil
	}
	return nil, fmt.Errorf(
		"interpreter %q of the script is unknown here: only a shell, python, perl or ruby can read the script from standard input", words[0])
}
