package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// What is written is what the API server would have stored: each object once, below its key, in protobuf.
func TestAFleetIsWrittenWhole(t *testing.T) {
	stored := map[string][]byte{}
	etcd := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var txn struct {
			Success []operation `json:"success"`
		}
		if err := json.NewDecoder(r.Body).Decode(&txn); err != nil || len(txn.Success) > batch || r.URL.Path != "/v3/kv/txn" {
			t.Errorf("%s: %d operations, %v", r.URL.Path, len(txn.Success), err)
		}
		for _, op := range txn.Success {
			stored[string(op.RequestPut.Key)] = op.RequestPut.Value
		}
	}))
	defer etcd.Close()
	if err := write(t.Context(), etcd.URL, size{20, 333, 7}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if len(stored) != 20+20+333+namespaces+33+33+7+7+7 {
		t.Errorf("%d objects are stored", len(stored))
	}
	p := pod(332, nodeName(12), time.Unix(1e9, 0))
	data, isProtobuf := bytes.CutPrefix(stored["/registry/pods/"+p.Namespace+"/"+p.Name], []byte("k8s\x00"))
	var envelope runtime.Unknown
	var got corev1.Pod
	if err := envelope.Unmarshal(data); err != nil || !isProtobuf || envelope.Kind != "Pod" {
		t.Fatalf("kind %q, %v", envelope.Kind, err)
	}
	if err := got.Unmarshal(envelope.Raw); err != nil || got.Spec.NodeName != nodeName(12) {
		t.Errorf("node %q, %v", got.Spec.NodeName, err)
	}
	// A pod of two containers has 5 to 6 KB on a real cluster.
	if size := len(envelope.Raw); size < 4500 || size > 7000 {
		t.Errorf("a pod has %d bytes", size)
	}
}

func TestTheMedianIsThatOfEachFigure(t *testing.T) {
	got := median([]usage{{wall: 3, user: 1, memory: 9}, {wall: 1, user: 2, memory: 5}, {wall: 2, user: 3, memory: 7}})
	if got != (usage{wall: 2, user: 2, memory: 7}) {
		t.Errorf("%+v", got)
	}
}
