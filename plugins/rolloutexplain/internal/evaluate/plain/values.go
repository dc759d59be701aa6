package plain

import (
	"time"
)

var NoTime time.Time

// Seconds is n seconds.
func Seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// Or gives what p points to, and for nil the other.
func Or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// Ptr points to v.
func Ptr[T any](v T) *T { return &v }

// TimePtr gives a time in UTC; nil for the zero time.
func TimePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}

// Count is a number of objects for a report.
func Count(n int) *int32 { return Ptr(int32(min(n, 1<<30))) } //nolint:gosec // bounded

// Int is 1 for true.
func Int(b bool) int {
	if b {
		return 1
	}
	return 0
}
