package collect

import (
	"encoding/json"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// What a kubelet answers is read as far as it can be, and can be saved.
func FuzzKubelet(f *testing.F) {
	f.Add([]byte(`{"node":{"fs":{"availableBytes":1,"capacityBytes":2},"memory":{"availableBytes":3},"rlimit":{"maxpid":4,"curproc":5}},"pods":[{"podRef":{"name":"a","namespace":"b"},"ephemeral-storage":{"usedBytes":6},"memory":{"workingSetBytes":7}}]}`))
	f.Add([]byte(`{"kubeletconfig":{"evictionHard":{"memory.available":"100Mi","nodefs.available":"10%"},"evictionSoft":{"imagefs.available":"NaN%"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var k evaluate.Kubelet
		k.ReadSummary(body)
		k.ReadThresholds(body)
		if _, err := json.Marshal(k); err != nil {
			t.Error(err)
		}
	})
}
