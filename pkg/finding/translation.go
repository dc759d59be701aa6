package finding

import "strings"

// Translation reads a catalog's texts in another language: a line per code, "Code|Title|Meaning|Evidence|Next". What
// has no language (severity, link) is not in it.
func Translation(text string) []Entry {
	var list []Entry
	for line := range strings.Lines(text) {
		if fields := strings.Split(strings.TrimSpace(line), "|"); len(fields) == 5 {
			list = append(list, Entry{Code: Code(fields[0]), Title: fields[1], Meaning: fields[2], Evidence: fields[3], Next: fields[4]})
		}
	}
	return list
}
