// Package output turns reports into bytes: formats, tables, findings, bars, color and ages. It alone imports
// tablewriter. It knows nothing of plugins, and takes the terminal as a value so that tests can have any.
package output

import "fmt"

// Terminal describes where text goes. The zero value is a pipe: no color, no bars, no wrapping.
type Terminal struct {
	TTY   bool // a person looks at it
	Width int  // columns; 0 is unknown or unlimited
	Color bool // escape sequences for verdicts and breached cells

	Cursor bool // it knows the escape sequences that move the cursor
}

// Style is the meaning of a cell or word; color repeats it and never carries it alone.
type Style int

// The styles.
const (
	Plain Style = iota
	Good
	Warn
	Bad
	Dim
	Bold
)

var styleCodes = map[Style]string{Good: "32", Warn: "33", Bad: "31", Dim: "2", Bold: "1"}

// Paint wraps text in the style's color where the terminal wants color.
func (t Terminal) Paint(text string, style Style) string {
	code, ok := styleCodes[style]
	if !t.Color || !ok || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// ColorMode is the value of --color.
type ColorMode string

// The color modes.
const (
	ColorAuto   ColorMode = "auto"
	ColorAlways ColorMode = "always"
	ColorNever  ColorMode = "never"
)

// ColorModes lists the accepted words, for help and completion.
func ColorModes() []string {
	return []string{string(ColorAuto), string(ColorAlways), string(ColorNever)}
}

// ParseColorMode reads a --color value; the error names the accepted words.
func ParseColorMode(s string) (ColorMode, error) {
	switch m := ColorMode(s); m {
	case ColorAuto, ColorAlways, ColorNever:
		return m, nil
	}
	return "", fmt.Errorf("--color %q: unknown value; valid values: auto, always, never", s)
}

// Use decides on color: the flag first, then NO_COLOR (present even if empty, https://no-color.org asks for non-empty
// and many tools for presence; presence is the kinder reading), then TERM=dumb, then whether a person looks.
func (m ColorMode) Use(tty bool, lookupEnv func(string) (string, bool)) bool {
	switch m {
	case ColorAlways:
		return true
	case ColorNever:
		return false
	}
	if _, set := lookupEnv("NO_COLOR"); set {
		return false
	}
	if term, _ := lookupEnv("TERM"); term == "dumb" {
		return false
	}
	return tty
}
