// Package garbage sets when garbage is collected: late at the start of a command, early where much is read.
package garbage

import (
	"runtime"
	"runtime/debug"
)

// How much garbage may lie next to what is in use, in percent, before it is collected.
const (
	// atStart lets the heap grow to 16 MB before the first collection, where Go's default lets it grow to 4 MB, which is about
	// what the packages of client-go need to start: a collection took 2 ms of 14 of a command that prints a line.
	atStart     = 400
	goesDefault = 100
	// withMany is for a run in which a list has many items: 30,000 pods peak at 58 MB with it and at 68 MB with Go's default, for
	// a tenth more processor time (docs/performance.md); a run that reads little took 40 % more with it.
	withMany = 50
	many     = 2000
)

// Late lets the first collection of a process wait; after it, Go's default holds. What the user chose (GOGC) stays.
func Late() {
	if change(goesDefault, atStart) {
		runtime.AddCleanup(new([64]byte), func(struct{}) { change(atStart, goesDefault) }, struct{}{})
	}
}

// Read is told how many items of a list have been read.
func Read(items int) {
	if items == many && !change(atStart, withMany) {
		change(goesDefault, withMany)
	}
}

// change sets the percentage if it is still the one that is expected.
func change(from, to int) bool {
	if now := debug.SetGCPercent(to); now != from {
		debug.SetGCPercent(now)
		return false
	}
	return true
}
