package garbage

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// percent reads what is set; there is no way to read it alone.
func percent() int {
	now := debug.SetGCPercent(goesDefault)
	debug.SetGCPercent(now)
	return now
}

func TestOnlyTheFirstCollectionIsLate(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(goesDefault))
	Late()
	if now := percent(); now != atStart {
		t.Fatalf("at the start: %d", now)
	}
	for range 100 {
		if runtime.GC(); percent() == goesDefault {
			break
		}
		time.Sleep(10 * time.Millisecond) // cleanups run beside the program
	}
	if now := percent(); now != goesDefault {
		t.Errorf("after a collection: %d", now)
	}
}

func TestManyItemsAreCollectedEarly(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(goesDefault))
	for before, after := range map[int]int{goesDefault: withMany, atStart: withMany, 30: 30, 200: 200} {
		debug.SetGCPercent(before)
		Read(many - 1)
		if now := percent(); now != before {
			t.Errorf("few items change %d to %d", before, now)
		}
		Read(many)
		if now := percent(); now != after {
			t.Errorf("%d becomes %d, want %d", before, now, after)
		}
	}
	debug.SetGCPercent(200) // the user's
	Late()
	if now := percent(); now != 200 {
		t.Errorf("the user's 200 becomes %d", now)
	}
}
