package output

import (
	"math"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// The words kubectl's tables use for what is not there.
const (
	None    = "<none>"
	Unknown = "<unknown>"
)

// Age prints a duration as kubectl does (47s, 5m12s, 3h, 12d).
func Age(d time.Duration) string {
	if d < 0 {
		return "0s"
	}
	return duration.HumanDuration(d)
}

// Since prints the age of a moment, and <unknown> for none.
func Since(t *time.Time, now time.Time) string {
	if t == nil || t.IsZero() {
		return Unknown
	}
	return Age(now.Sub(*t))
}

// Millicores prints CPU: below ten cores in millicores (40m), from there in cores (12, 12.5).
func Millicores(m int64) string {
	if m < 10_000 && m > -10_000 {
		if m%1000 == 0 {
			return strconv.FormatInt(m/1000, 10)
		}
		return strconv.FormatInt(m, 10) + "m"
	}
	return trimZero(strconv.FormatFloat(float64(m)/1000, 'f', 1, 64))
}

// Bytes prints a size with binary suffixes and at most one decimal (512Mi, 7.7Gi).
func Bytes(n int64) string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	value, unit := float64(n), 0
	for math.Abs(value) >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return trimZero(strconv.FormatFloat(value, 'f', 1, 64)) + units[unit]
}

func trimZero(s string) string { return strings.TrimSuffix(s, ".0") }

// Percent prints part/whole; <unknown> when the whole is not positive. From 95 up it keeps a decimal, so that 99.6 is
// not read as 99, and overcommitment above 100 is shown as it is.
func Percent(part, whole int64) string {
	if whole <= 0 {
		return Unknown
	}
	p := float64(part) / float64(whole) * 100
	if p >= 95 && p < 100 {
		return trimZero(strconv.FormatFloat(math.Floor(p*10)/10, 'f', 1, 64)) + "%"
	}
	return strconv.FormatFloat(math.Floor(p+0.5), 'f', 0, 64) + "%"
}

// Bar draws part/whole in width columns of ASCII ([####......]); nothing off a terminal or without a whole.
func (t Terminal) Bar(part, whole int64, width int) string {
	if !t.TTY || whole <= 0 || width <= 0 {
		return ""
	}
	filled := min(int(float64(part)/float64(whole)*float64(width)+0.5), width)
	filled = max(filled, 0)
	return "[" + strings.Repeat("#", filled) + strings.Repeat(".", width-filled) + "]"
}

// Plural gives "1 node" or "3 nodes"; the plural form is the singular with an s, or the one given.
func Plural(n int, singular string, plural ...string) string {
	word := singular + "s"
	if len(plural) > 0 {
		word = plural[0]
	}
	if n == 1 {
		word = singular
	}
	return strconv.Itoa(n) + " " + word
}
