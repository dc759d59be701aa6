package helperpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// Brief runs a script in a container that ends by itself: nobody talks to it, so it needs no lease, and no right to watch,
// attach or exec. Its Job ends it where it does not end, also when this client is dead.
type Brief struct {
	Client    kube.Clients
	Namespace string
	Within    time.Duration // from its creation to its end
}

// briefRest is how long the cluster keeps the Job of a client that did not come to delete it, in seconds.
const briefRest = 20

// look is how often a brief container is looked at, and mostOutput how much of what it says is read, in bytes.
const (
	look       = 300 * time.Millisecond
	mostOutput = 1 << 20
)

// RunPod makes a pod within a Job, waits until its container has ended, and gives what it printed. Job and pod are
// deleted, whatever happens. The error names the reason for which the pod is not created or does not start.
func (b Brief) RunPod(ctx context.Context, pod *corev1.Pod, container string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Within)
	defer cancel()
	jobs := b.Client.BatchV1().Jobs(b.Namespace)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		background := metav1.DeletePropagationBackground
		_ = jobs.Delete(ctx, pod.Name, metav1.DeleteOptions{PropagationPolicy: &background})
	}()
	// A create that is canceled on its way may still happen after its delete: let it finish.
	creating, created := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	job, err := jobs.Create(creating, b.job(pod), metav1.CreateOptions{})
	created()
	if err != nil {
		return "", err
	}
	name, err := b.podOf(ctx, job)
	if err != nil {
		return "", err
	}
	return b.Output(ctx, name, container)
}

func (b Brief) job(pod *corev1.Pod) *batchv1.Job {
	never, rest, deadline := int32(0), int32(briefRest), int64(b.Within.Seconds())+5
	template := pod.DeepCopy()
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: b.Namespace, Labels: pod.Labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: &never, ActiveDeadlineSeconds: &deadline, TTLSecondsAfterFinished: &rest,
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template.Labels}, Spec: template.Spec},
		},
	}
}

// podOf waits for the pod of a Job. A quota or an admission rule that forbids it speaks in an event of the Job.
func (b Brief) podOf(ctx context.Context, job *batchv1.Job) (string, error) {
	began := time.Now()
	for {
		list, err := b.Client.CoreV1().Pods(b.Namespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job.Name})
		if err == nil && len(list.Items) > 0 {
			return list.Items[0].Name, nil
		}
		late := ctx.Err() != nil
		if err != nil && !late {
			return "", err
		}
		if late || time.Since(began) > time.Second {
			if e := eventfact.Newest(eventfact.ReadAll(b.events(ctx, string(job.UID))), "FailedCreate"); e != nil {
				return "", fmt.Errorf("the pod was not created: %s", e.Message)
			}
		}
		if late {
			return "", outOfTime(ctx, "the Job controller created no pod")
		}
		pause(ctx)
	}
}

// Output waits until a container has ended, of whatever kind, and gives what it printed.
func (b Brief) Output(ctx context.Context, pod, container string) (string, error) {
	began, why := time.Now(), "the status of the pod was not read"
	for {
		current, err := b.Client.CoreV1().Pods(b.Namespace).Get(ctx, pod, metav1.GetOptions{})
		switch {
		case ctx.Err() != nil:
			return "", outOfTime(ctx, why)
		case err != nil:
			return "", err
		case podspec.Ended(current, container):
			return b.log(ctx, pod, container)
		case podspec.Running(current, container):
			why = "the container is still running"
		default:
			w := podspec.Diagnose(current, container, nil, time.Since(began))
			if w.Final {
				w = podspec.Diagnose(current, container, b.events(ctx, string(current.UID)), time.Since(began)) // for the registry's own words
				return "", fmt.Errorf("the container does not start: %s", w.Text)
			}
			why = w.Text
		}
		pause(ctx)
	}
}

func (b Brief) log(ctx context.Context, pod, container string) (string, error) {
	stream, err := b.Client.CoreV1().Pods(b.Namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container}).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	data, err := io.ReadAll(io.LimitReader(stream, mostOutput))
	return string(data), err
}

// events are those of one object; without the permission there are none.
func (b Brief) events(ctx context.Context, uid string) []corev1.Event {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	list, err := b.Client.CoreV1().Events(b.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", uid).String(), Limit: 100,
	})
	if err != nil {
		return nil
	}
	return list.Items
}

// outOfTime is the error of a wait that was given up.
func outOfTime(ctx context.Context, why string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the container did not terminate in time: %s", why)
	}
	return ctx.Err()
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(look):
	}
}
