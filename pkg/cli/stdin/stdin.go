// Package stdin judges whom standard input is for: this command, or a caller that reads on from it.
package stdin

// Purpose says whom standard input is for.
type Purpose struct {
	Given  bool   // put there for this command alone
	Holder string // the program that may read on from it, where data waits in it now
}
