//go:build !unix

package cli

// unread cannot be seen here: the end comes with the next write.
var unread func() bool
