package autoscaler

import (
	"strconv"
	"strings"
)

// textHead begins the status of versions before 1.30; the time and a colon follow.
const textHead = "Cluster-autoscaler status at "

// parseText reads the status as versions before 1.30 write it. What a line does not tell is left out.
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.29.0/cluster-autoscaler/clusterstate/api/utils.go (GetReadableString)
func parseText(text string) *Status {
	s := &Status{}
	r := textReader{status: s}
	for line := range strings.Lines(text) {
		r.line(strings.TrimSpace(line))
	}
	if s.State == "" && s.Health.Status != "" {
		s.State = "Running"
	}
	return s
}

// textReader knows of what a line is: of the group that was named last, else of the cluster.
type textReader struct {
	status *Status
	group  *Group
	aspect *Aspect // that the times which follow are of; nil: none
}

func (r *textReader) line(line string) {
	key, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	s := r.status
	switch {
	case strings.HasPrefix(line, textHead):
		s.see(moment(strings.TrimPrefix(strings.TrimSuffix(line, ":"), textHead)))
	case line == Initializing:
		s.State = Initializing
	case key == "Name":
		s.Groups = append(s.Groups, Group{Name: value})
		r.group, r.aspect = &s.Groups[len(s.Groups)-1], nil
	case key == "LastProbeTime":
		if r.group == nil {
			s.see(moment(value))
		}
	case key == "LastTransitionTime":
		if r.aspect != nil {
			r.aspect.Since = moment(value)
		}
	default:
		r.reported(key, value)
	}
}

// reported reads "Healthy (ready=3 …)".
func (r *textReader) reported(key, value string) {
	s, g := r.status, r.group
	health, up, down, candidates := &s.Health, &s.ScaleUp, &s.ScaleDown, &s.Candidates
	if g != nil {
		health, up, down, candidates = &g.Health, &g.ScaleUp, &g.ScaleDown, &g.Candidates
	}
	word, message, _ := strings.Cut(value, " (")
	switch key {
	case "Health":
		r.aspect = health
		if g != nil {
			g.Ready, g.Target = number(message, "ready="), number(message, "cloudProviderTarget=")
			g.Min, g.Max = number(message, "minSize="), number(message, "maxSize=")
		}
	case "ScaleUp":
		r.aspect = up
	case "ScaleDown":
		r.aspect = down
		*candidates = number(message, "candidates=")
	default:
		r.aspect = nil
		return
	}
	r.aspect.Status = strings.TrimSpace(word)
}

// number is what stands after a key that begins a word; nil: nothing that is a number.
func number(message, key string) *int {
	for _, word := range strings.FieldsFunc(message, func(c rune) bool { return strings.ContainsRune(" ,()", c) }) {
		if text, ok := strings.CutPrefix(word, key); ok {
			if n, err := strconv.Atoi(text); err == nil {
				return &n
			}
		}
	}
	return nil
}
