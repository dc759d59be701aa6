package finding

import (
	"slices"
	"strings"
)

// Kubectl builds next commands that can be pasted: with the connection flags the user gave, and every word quoted for a
// POSIX shell, since names and namespaces come from the cluster.
type Kubectl struct {
	Flags []string // e.g. --context=prod, as given to this run
}

// Command gives "kubectl ARGS… FLAGS"; flags stand before a "--", so that they never reach a remote command. An empty
// namespace adds no -n.
func (k Kubectl) Command(namespace string, args ...string) string {
	flags := slices.Clone(k.Flags)
	if namespace != "" {
		flags = append([]string{"-n", namespace}, flags...)
	}
	at := slices.Index(args, "--")
	if at < 0 {
		at = len(args)
	}
	words := append([]string{"kubectl"}, args[:at]...)
	words = append(words, flags...)
	words = append(words, args[at:]...)
	for i := range words {
		words[i] = Quote(words[i])
	}
	return strings.Join(words, " ")
}

// Quote makes one shell word of s.
func Quote(s string) string {
	if s != "" && strings.IndexFunc(s, unsafeInShell) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func unsafeInShell(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("-_./:=@%+,", r)
}
