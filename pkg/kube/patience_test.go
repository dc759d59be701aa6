package kube

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// overloaded refuses the first requests with Retry-After, and then answers.
func overloaded(t *testing.T, refusals int32, after string) (*Cluster, *atomic.Int32) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if asked.Add(1) > refusals {
			_, _ = w.Write([]byte(`{"kind":"NodeList","apiVersion":"v1","items":[]}`))
			return
		}
		w.Header().Set("Retry-After", after)
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429}`))
	}))
	t.Cleanup(server.Close)
	flags := NewFlags("test", time.Now)
	config := &rest.Config{Host: server.URL}
	clock := NewClock(time.Now)
	flags.adjust(config, clock)
	return &Cluster{Config: config, Clock: clock}, &asked
}

func TestRetryAfterIsHonored(t *testing.T) {
	cluster, asked := overloaded(t, 1, "1")
	client, err := cluster.Typed()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	if _, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err != nil || asked.Load() != 2 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("asked again after %s, though the server said 1 s", took)
	}
}

// A wait that the caller's own limit would cut is not begun: the refusal is the answer.
func TestRetryAfterBeyondTheDeadlineIsARefusal(t *testing.T) {
	for _, tt := range []struct {
		after    string
		deadline time.Duration
	}{{"3600", time.Hour * 2}, {"20", 10 * time.Second}} {
		cluster, asked := overloaded(t, 100, tt.after)
		client, err := cluster.Typed()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
		began := time.Now()
		_, err = client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		cancel()
		if !apierrors.IsTooManyRequests(err) || asked.Load() != 1 || time.Since(began) > 5*time.Second {
			t.Errorf("Retry-After %s: asked %d times in %s: %v", tt.after, asked.Load(), time.Since(began), err)
		}
	}
}
