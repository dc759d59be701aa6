package finding

import "fmt"

// Threshold is the value of --fail-on: the mildest severity that makes the command exit with 3.
type Threshold string

// The thresholds. Never is the default: a diagnosis is data, and a script that wants it as an exit code asks for it.
const (
	ThresholdNever    Threshold = "never"
	ThresholdCritical Threshold = Threshold(Critical)
	ThresholdWarning  Threshold = Threshold(Warning)
	ThresholdInfo     Threshold = Threshold(Info)
)

// Thresholds lists the accepted words, for help and completion.
func Thresholds() []string {
	return []string{string(ThresholdNever), string(ThresholdCritical), string(ThresholdWarning), string(ThresholdInfo)}
}

// ParseThreshold reads a --fail-on value; the error names the accepted words.
func ParseThreshold(s string) (Threshold, error) {
	switch t := Threshold(s); t {
	case ThresholdNever, ThresholdCritical, ThresholdWarning, ThresholdInfo:
		return t, nil
	}
	return "", fmt.Errorf("--fail-on %q: unknown severity; valid values: never, critical, warning, info", s)
}

// Reached says whether any finding is at least as severe as the threshold.
func (t Threshold) Reached(list []Finding) bool {
	if t == ThresholdNever || t == "" {
		return false
	}
	worst, any := Worst(list)
	return any && worst.rank() <= Severity(t).rank()
}
