package suite

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

type workflow struct {
	Permissions map[string]string `json:"permissions"`
	Jobs        map[string]struct {
		Strategy struct {
			Matrix struct {
				Plugin []string `json:"plugin"`
			} `json:"matrix"`
		} `json:"strategy"`
		Steps []struct {
			Uses string         `json:"uses"`
			Run  string         `json:"run"`
			With map[string]any `json:"with"`
		} `json:"steps"`
	} `json:"jobs"`
}

func TestWorkflowsCallWhatThereIs(t *testing.T) {
	makefile := read(t, "Makefile")
	files, err := filepath.Glob(filepath.Join(root(t), ".github", "workflows", "*.yml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d workflows: %v", len(files), err)
	}
	// A tag can be moved to other code, a commit cannot.
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40}$`)
	named := regexp.MustCompile(`(?m)uses: \S+ # v\d+\.\d+\.\d+$`)
	targets := regexp.MustCompile(`(?m)\bmake ([a-z][a-z -]*)$`)
	for _, file := range files {
		name := filepath.Base(file)
		var w workflow
		text := read(t, ".github/workflows/"+name)
		if err := yaml.Unmarshal([]byte(text), &w); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if uses := strings.Count(text, "uses: "); uses == 0 || uses != len(named.FindAllString(text, -1)) {
			t.Errorf("%s: beside a commit stands the version that it is", name)
		}
		if d := cmp.Diff(map[string]string{"contents": "read"}, w.Permissions); d != "" {
			t.Errorf("%s may do more than read by default (-want +got):\n%s", name, d)
		}
		for job, j := range w.Jobs {
			if got := slices.Sorted(slices.Values(j.Strategy.Matrix.Plugin)); len(got) > 0 && len(plugins(t)) == 4 {
				if d := cmp.Diff(plugins(t), got); d != "" {
					t.Errorf("%s, %s: plugins (-want +got):\n%s", name, job, d)
				}
			}
			for _, step := range j.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s, %s: %s is not pinned to a commit", name, job, step.Uses)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s, %s: the token stays in .git for every later step", name, job)
				}
				for _, call := range targets.FindAllStringSubmatch(step.Run, -1) {
					for _, target := range strings.Fields(call[1]) {
						if !strings.Contains(makefile, "\n"+target+":") {
							t.Errorf("%s, %s: make has no target %s", name, job, target)
						}
					}
				}
			}
		}
	}
}
