package thresholds

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Parse reads a file of thresholds, YAML or JSON: keys that are left out keep their defaults. The error is one line that names the
// key, its line and what it can be.
func Parse(data []byte) (Values, error) {
	v := Default()
	entries, err := entriesOf(data)
	if err != nil {
		return v, err
	}
	lines := strings.Split(string(data), "\n")
	var wrong []problem
	for name, value := range entries {
		if err := set(&v, name, value); err != nil {
			wrong = append(wrong, problem{lineOf(lines, name), err})
		}
	}
	if len(wrong) == 0 && v.CertificateCriticalDays > v.CertificateWarningDays {
		name := "certificateCriticalDays"
		if _, given := entries[name]; !given {
			name = "certificateWarningDays"
		}
		wrong = append(wrong, problem{lineOf(lines, name), fmt.Errorf("certificateCriticalDays (%d) is more than certificateWarningDays (%d); "+
			"a certificate becomes critical after it becomes a warning", v.CertificateCriticalDays, v.CertificateWarningDays)})
	}
	if len(wrong) == 0 {
		return v, nil
	}
	sorting.Func(wrong, func(a, b problem) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.Error(), b.Error())) })
	if more := len(wrong) - 1; more > 0 {
		return v, fmt.Errorf("%w (and %d more)", wrong[0], more)
	}
	return v, wrong[0]
}

// problem is what is wrong with an entry; line is 0 where it is not known.
type problem struct {
	line int
	error
}

func (p problem) Error() string {
	if p.line == 0 {
		return p.error.Error()
	}
	return fmt.Sprintf("line %d: %s", p.line, p.error)
}

// entriesOf reads the keys and values of a file.
func entriesOf(data []byte) (map[string]any, error) {
	var document any
	if err := yaml.UnmarshalStrict(data, &document); err != nil {
		text := strings.Join(strings.Fields(err.Error()), " ")
		for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: ", "unmarshal errors: "} {
			text = strings.TrimPrefix(text, prefix)
		}
		return nil, fmt.Errorf("not valid YAML: %s", text)
	}
	entries, ok := document.(map[string]any)
	switch {
	case document == nil || ok && len(entries) == 0:
		return nil, errors.New("no threshold is set")
	case !ok:
		return nil, errors.New("not a mapping of thresholds to values, such as \"podStart: 5m\"")
	case documents(string(data)) > 1:
		return nil, errors.New("more than one YAML document; only one is read")
	}
	return entries, nil
}

// documents counts what "---" parts, without parts that hold nothing.
func documents(text string) int {
	count := 0
	for _, part := range strings.Split("\n"+text, "\n---") {
		for line := range strings.Lines(part) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				count++
				break
			}
		}
	}
	return count
}

// set changes the number of one key.
func set(v *Values, name string, value any) error {
	all := keys()
	i := slices.IndexFunc(all, func(k key) bool { return k.name == name })
	if i < 0 {
		return fmt.Errorf("%q is not a threshold; %s", name, closest(name, all))
	}
	k, normal := &all[i], Default()
	wrong := func(problem string) error {
		return fmt.Errorf("%s: %s %s; use %s (default: %s)", name, written(value), problem, k.bounds(), k.text(&normal))
	}
	var got int64
	if k.duration != nil {
		text, ok := value.(string)
		if !ok {
			return wrong("is not a duration with a unit")
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return wrong("is not a duration with a unit")
		}
		got = int64(d)
	} else {
		n, ok := value.(float64)
		if !ok || n != math.Trunc(n) || math.Abs(n) > 1e15 {
			return wrong("is not a whole number")
		}
		got = int64(n)
	}
	switch {
	case got < k.least:
		return wrong("is too low")
	case got > k.most:
		return wrong("is too high")
	case k.duration != nil:
		*k.duration(v) = time.Duration(got)
	default:
		*k.number(v) = int(got)
	}
	return nil
}

// bounds is what the value of a key can be.
func (k *key) bounds() string {
	if k.duration != nil {
		return fmt.Sprintf("a duration from %s to %s", short(time.Duration(k.least)), short(time.Duration(k.most)))
	}
	return fmt.Sprintf("a whole number from %d to %d", k.least, k.most)
}

// written is a value as an error shows it.
func written(value any) string {
	switch v := value.(type) {
	case nil:
		return "an empty value"
	case string:
		return fmt.Sprintf("%q", v)
	case map[string]any, []any:
		return "a mapping or list"
	case float64:
		return fmt.Sprintf("%v", v)
	}
	return fmt.Sprint(value)
}

// closest names the key that was probably meant, or all.
func closest(name string, all []key) string {
	const enough = 5 // of a name that begins in the same way
	best, most := "", enough-1
	var names []string
	for _, k := range all {
		names = append(names, k.name)
		same := 0
		for same < min(len(name), len(k.name)) && strings.EqualFold(name[same:same+1], k.name[same:same+1]) {
			same++
		}
		if same > most {
			best, most = k.name, same
		}
	}
	if best != "" {
		return "closest existing name: " + best
	}
	return "use " + strings.Join(names, ", ")
}

// lineOf is the line that sets a key; 0: not found.
func lineOf(lines []string, name string) int {
	for i, line := range lines {
		rest, ok := strings.CutPrefix(strings.TrimLeft(line, " \t\"'{,"), name)
		if ok && strings.HasPrefix(strings.TrimLeft(rest, "\"' "), ":") {
			return i + 1
		}
	}
	return 0
}
