package plain

import (
	"time"
)

var NoTime time.Time

func Seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func Or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func Ptr[T any](v T) *T { return &v }

func TimePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}

func Count(n int) *int32 { return Ptr(int32(min(n, 1<<30))) } //nolint:gosec // bounded

func Int(b bool) int {
	if b {
		return 1
	}
	return 0
}
