package load

import (
	"bytes"
	"encoding/json"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/masking"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// Masked gives a copy for a file: values of variables whose names look secret are replaced, equal ones by equal masks, so
// that a replay still sees what changed. What looks like a secret by itself is hidden wherever it stands.
func Masked(in *model.Input) (*model.Input, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	out := &model.Input{}
	if err := json.Unmarshal(data, out); err != nil {
		return nil, err
	}
	m := masking.Masker{}
	for i := range out.Deployments {
		m.Spec(&out.Deployments[i].Spec.Template.Spec)
	}
	for i := range out.ReplicaSets {
		m.Spec(&out.ReplicaSets[i].Spec.Template.Spec)
	}
	for i := range out.StatefulSets {
		m.Spec(&out.StatefulSets[i].Spec.Template.Spec)
	}
	for i := range out.DaemonSets {
		m.Spec(&out.DaemonSets[i].Spec.Template.Spec)
	}
	for i := range out.Jobs {
		m.Spec(&out.Jobs[i].Spec.Template.Spec)
	}
	for i := range out.Pods {
		m.Spec(&out.Pods[i].Spec)
	}
	for i := range out.ControllerRevisions {
		raw := &out.ControllerRevisions[i].Data
		var tree any
		if json.Unmarshal(raw.Raw, &tree) == nil {
			m.Tree(tree)
			if text, err := json.Marshal(tree); err == nil {
				raw.Raw = text
			}
		}
	}
	for _, o := range out.Rollouts {
		m.Tree(o)
	}
	return withoutSecrets(out, m)
}

// withoutSecrets hides what looks like a secret in every text of the input: logs, events, statuses, annotations, headers.
func withoutSecrets(in *model.Input, m masking.Masker) (*model.Input, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // a resource version or a count is no float
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	m.Annotations(tree)
	if data, err = json.Marshal(mask.Tree(tree)); err != nil {
		return nil, err
	}
	out := &model.Input{}
	return out, json.Unmarshal(data, out)
}
