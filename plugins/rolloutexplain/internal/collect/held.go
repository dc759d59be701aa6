package collect

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// askHeld lists ConfigMaps or Secrets through the metadata API, so that no value is ever read.
func (c *Collector) askHeld(ctx context.Context, n model.Need) answer {
	kind := map[string]string{"configmaps": "ConfigMap", "secrets": "Secret"}[n.Name]
	var list []model.Held
	client := c.Metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: n.Name}).Namespace(n.Namespace)
	err := pages(ctx, metav1.ListOptions{}, client.List, func(l *metav1.PartialObjectMetadataList) {
		for i := range l.Items {
			h := model.Held{ObjectRef: finding.ObjectRef{Kind: kind, Namespace: n.Namespace, Name: l.Items[i].Name}}
			h.Keys, h.Changed = keysOf(l.Items[i].ManagedFields)
			list = append(list, h)
		}
	}, &sync.Mutex{})
	s := kube.SourceOf(n.Name, "list", n.Name, err)
	if s.State == source.Forbidden {
		// Only for a hint at a similar name: who may not list Secrets lacks nothing.
		s = source.Source{Name: n.Name, State: source.Skipped, Message: "names and keys are listed only where permissions allow"}
	}
	return found(s, func(in *model.Input) { in.Held = append(in.Held, list...) })
}

// keysOf are the keys of a ConfigMap or a Secret, and when they or their values were last written: the API server notes who owns which
// field, and each field has an owner, unless somebody has emptied the notes:
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields.
func keysOf(entries []metav1.ManagedFieldsEntry) (keys []string, changed *metav1.Time) {
	for _, entry := range entries {
		var fields map[string]map[string]any
		if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			return nil, nil
		}
		before := len(keys)
		for _, in := range []string{"f:data", "f:binaryData", "f:stringData"} {
			for field := range fields[in] {
				if key, ok := strings.CutPrefix(field, "f:"); ok {
					keys = append(keys, key)
				}
			}
		}
		if len(keys) > before && entry.Time != nil && (changed == nil || changed.Before(entry.Time)) {
			changed = entry.Time
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys), changed
}
