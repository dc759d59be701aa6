package evaluate

import (
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// now is when all fixtures are judged.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// builder makes the snapshot of one rollout in the middle: a Deployment "api" of 2, one healthy old pod a revision, and a
// new revision with one pod that a fixture gives its trouble.
type builder struct {
	in  *model.Input
	d   *appsv1.Deployment
	old *appsv1.ReplicaSet
	rs  *appsv1.ReplicaSet
	pod int // index of the new pod
}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "api"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: image}}},
	}
}

func meta(name, uid string, created time.Duration) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID(uid), CreationTimestamp: ago(created)}
}

func owned(m metav1.ObjectMeta, kind, name, uid string) metav1.ObjectMeta {
	m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID(uid), Controller: plain.Ptr(true)}}
	return m
}

func allRead() source.List {
	var list source.List
	for _, n := range []string{model.SourceEvents, model.SourcePods, model.SourceRevisions, model.SourceWorkload, "nodes", "leases", "storageclasses"} {
		list = append(list, source.Source{Name: n, State: source.OK})
	}
	return list
}

func deploymentCase() *builder {
	b := &builder{in: &model.Input{Collected: now, Sources: allRead()}}
	surge, unavailable := intstr.FromString("25%"), intstr.FromString("25%")
	b.in.Deployments = []appsv1.Deployment{{
		ObjectMeta: meta("api", "d", 48*time.Hour),
		Spec: appsv1.DeploymentSpec{
			Replicas: plain.Ptr(int32(2)), Template: template("api:2"), ProgressDeadlineSeconds: plain.Ptr(int32(600)),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable}},
		},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "ReplicaSetUpdated", LastUpdateTime: ago(time.Minute)}},
		},
	}}
	b.d = &b.in.Deployments[0]
	b.d.Generation = 2
	b.in.ReplicaSets = []appsv1.ReplicaSet{b.set("api-1", "rs1", "1", 48*time.Hour, "api:1", 2, 2), b.set("api-2", "rs2", "2", time.Minute, "api:2", 1, 0)}
	b.old, b.rs = &b.in.ReplicaSets[0], &b.in.ReplicaSets[1]
	b.addPod("api-1-a", "rs1", "api:1", "w1", 48*time.Hour, running(48*time.Hour))
	b.addPod("api-1-b", "rs1", "api:1", "w2", 48*time.Hour, running(48*time.Hour))
	b.addPod("api-2-x", "rs2", "api:2", "w1", time.Minute, waiting("ContainerCreating", ""))
	b.pod = 2
	b.rs.Spec.Template.Spec.Containers = b.x().Spec.Containers // what a fixture does to the container of the pod, the templates have, too
	b.d.Spec.Template.Spec.Containers = b.x().Spec.Containers
	b.node("w1")
	b.node("w2")
	return b
}

func (b *builder) set(name, uid, number string, created time.Duration, image string, replicas, available int32) appsv1.ReplicaSet {
	rs := appsv1.ReplicaSet{
		ObjectMeta: owned(meta(name, uid, created), "Deployment", "api", "d"),
		Spec:       appsv1.ReplicaSetSpec{Replicas: plain.Ptr(replicas), Template: template(image)},
		Status:     appsv1.ReplicaSetStatus{Replicas: replicas, ReadyReplicas: available, AvailableReplicas: available},
	}
	rs.Annotations = map[string]string{kinds.RevisionAnnotation: number}
	rs.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: uid}
	return rs
}

func (b *builder) addPod(name, owner, image, node string, created time.Duration, s corev1.ContainerStatus) *corev1.Pod {
	p := corev1.Pod{ObjectMeta: owned(meta(name, "pod-"+name, created), "ReplicaSet", owner, owner)}
	p.Spec = template(image).Spec
	p.Spec.NodeName = node
	s.Name = "api"
	start := ago(created)
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &start, ContainerStatuses: []corev1.ContainerStatus{s}}
	ready := corev1.ConditionFalse
	if s.Ready {
		ready = corev1.ConditionTrue
	}
	p.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: ago(created)},
		{Type: corev1.PodReady, Status: ready, LastTransitionTime: ago(created)},
	}
	b.in.Pods = append(b.in.Pods, p)
	return &b.in.Pods[len(b.in.Pods)-1]
}

func (b *builder) node(name string) *corev1.Node {
	b.in.Nodes = append(b.in.Nodes, corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/os": "linux", "kubernetes.io/hostname": name}},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{"cpu": quantity("2"), "memory": quantity("4Gi"), "pods": quantity("110")},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	})
	b.fetch(model.Need{Kind: model.NeedNodes}, model.Need{Kind: model.NeedNodePods}, model.Need{Kind: model.NeedNode, Name: name})
	return &b.in.Nodes[len(b.in.Nodes)-1]
}

func (b *builder) fetch(needs ...model.Need) { b.in.Fetched = append(b.in.Fetched, needs...) }

// x is the new pod, s its container's status, c its container.
func (b *builder) x() *corev1.Pod { return &b.in.Pods[b.pod] }

func (b *builder) s() *corev1.ContainerStatus { return &b.x().Status.ContainerStatuses[0] }

func (b *builder) c() *corev1.Container { return &b.x().Spec.Containers[0] }

func (b *builder) status(s corev1.ContainerStatus) *builder {
	s.Name = "api"
	b.x().Status.ContainerStatuses[0] = s
	return b
}

// event adds one about an object by UID, seen now.
func (b *builder) event(uid, reason, message string, count int32) *builder {
	kind := corev1.EventTypeWarning
	if reason == "Killing" || reason == "Pulling" || reason == "TriggeredScaleUp" {
		kind = corev1.EventTypeNormal
	}
	b.in.Events = append(b.in.Events, corev1.Event{
		ObjectMeta: meta(fmt.Sprintf("e%d", len(b.in.Events)), fmt.Sprintf("event-%d", len(b.in.Events)), 40*time.Second), InvolvedObject: corev1.ObjectReference{UID: types.UID(uid)},
		Reason: reason, Message: message, Count: count, FirstTimestamp: ago(50 * time.Second), LastTimestamp: ago(5 * time.Second), Type: kind,
	})
	return b
}

func (b *builder) podEvent(reason, message string, count int32) *builder {
	return b.event(string(b.x().UID), reason, message, count)
}

// unscheduled takes the new pod off its node, with the scheduler's words.
func (b *builder) unscheduled(message string) *builder {
	p := b.x()
	p.Spec.NodeName, p.Status.Phase, p.Status.ContainerStatuses = "", corev1.PodPending, nil
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message, LastTransitionTime: ago(time.Minute)}}
	return b
}

// missing removes the new pod: its ReplicaSet cannot create it.
func (b *builder) missing(message string) *builder {
	b.in.Pods = b.in.Pods[:b.pod]
	b.rs.CreationTimestamp = ago(time.Minute)
	if message == "" {
		return b
	}
	return b.event("rs2", "FailedCreate", message, 5)
}

// ending deletes an old pod: due is when its grace ends.
func (b *builder) ending(due time.Duration) *corev1.Pod {
	p := &b.in.Pods[0]
	at := metav1.NewTime(now.Add(due))
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, plain.Ptr(int64(30))
	return p
}

// recreate is the strategy whose new ReplicaSet does not exist while old pods do.
func (b *builder) recreate() *builder {
	b.d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	b.in.ReplicaSets = b.in.ReplicaSets[:1]
	b.in.ReplicaSets[0].Spec.Replicas = plain.Ptr(int32(0))
	b.in.Pods = b.in.Pods[:1]
	b.ending(20 * time.Second)
	return b
}

// done finishes the rollout: both pods are new and available.
func (b *builder) done() *builder {
	b.d.Status.Replicas, b.d.Status.UpdatedReplicas, b.d.Status.ReadyReplicas, b.d.Status.AvailableReplicas = 2, 2, 2, 2
	b.d.Status.Conditions[0].Reason = "NewReplicaSetAvailable"
	b.in.ReplicaSets[0].Spec.Replicas, b.in.ReplicaSets[0].Status = plain.Ptr(int32(0)), appsv1.ReplicaSetStatus{}
	b.in.ReplicaSets[1].Spec.Replicas, b.in.ReplicaSets[1].Status = plain.Ptr(int32(2)), appsv1.ReplicaSetStatus{Replicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}
	b.in.Pods = nil
	b.addPod("api-2-x", "rs2", "api:2", "w1", time.Hour, running(time.Hour))
	b.addPod("api-2-y", "rs2", "api:2", "w2", time.Hour, running(time.Hour))
	b.pod = 0
	return b
}

func running(since time.Duration) corev1.ContainerStatus {
	return corev1.ContainerStatus{Ready: true, Started: plain.Ptr(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(since)}}}
}

func notReadyYet(since time.Duration) corev1.ContainerStatus {
	s := running(since)
	s.Ready = false
	return s
}

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

// crashed has ended restarts+1 times with a code; it waits for its next start.
func crashed(code, restarts int32, reason string) corev1.ContainerStatus {
	end := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, ContainerID: "containerd://5f0c", StartedAt: ago(12 * time.Second), FinishedAt: ago(10 * time.Second)}}
	return corev1.ContainerStatus{RestartCount: restarts, State: end, LastTerminationState: end}
}

// job makes a Job with one failed pod instead of the Deployment.
func jobCase(change func(*batchv1.Job)) *builder {
	b := deploymentCase()
	in := b.in
	in.Deployments, in.ReplicaSets = nil, nil
	j := batchv1.Job{ObjectMeta: meta("once", "job", time.Minute), Spec: batchv1.JobSpec{Parallelism: plain.Ptr(int32(1)), Completions: plain.Ptr(int32(1)), BackoffLimit: plain.Ptr(int32(6))}}
	change(&j)
	in.Jobs = []batchv1.Job{j}
	in.Pods = nil
	p := b.addPod("once-1", "job", "api:2", "w1", time.Minute, crashed(2, 0, "Error"))
	p.OwnerReferences[0].Kind, p.Spec.RestartPolicy, p.Status.Phase = "Job", corev1.RestartPolicyNever, corev1.PodFailed
	b.pod = 0
	return b
}

// statefulCase is a StatefulSet of two in an update whose pod 1 is new and broken.
func statefulCase(change func(*appsv1.StatefulSet)) *builder {
	b := deploymentCase()
	in := b.in
	in.Deployments, in.ReplicaSets, in.Pods = nil, nil, nil
	s := appsv1.StatefulSet{
		ObjectMeta: meta("db", "sts", time.Hour),
		Spec:       appsv1.StatefulSetSpec{Replicas: plain.Ptr(int32(2)), Template: template("db:2"), PodManagementPolicy: appsv1.OrderedReadyPodManagement, UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType}},
		Status:     appsv1.StatefulSetStatus{ObservedGeneration: 2, Replicas: 2, ReadyReplicas: 1, AvailableReplicas: 1, CurrentRevision: "db-r1", UpdateRevision: "db-r2", UpdatedReplicas: 1},
	}
	s.Generation = 2
	change(&s)
	in.StatefulSets = []appsv1.StatefulSet{s}
	for i, r := range []string{"db-r1", "db-r2"} {
		in.ControllerRevisions = append(in.ControllerRevisions, controllerRevision(r, "StatefulSet", "db", "sts", int64(i+1), time.Duration(60-i*58)*time.Minute, fmt.Sprintf("db:%d", i+1)))
	}
	b.ownedPod("db-0", "StatefulSet", "sts", "db-r1", running(time.Hour), time.Hour)
	b.ownedPod("db-1", "StatefulSet", "sts", "db-r2", crashed(1, 4, "Error"), time.Minute)
	b.pod = 1
	return b
}

func controllerRevision(name, kind, owner, uid string, number int64, created time.Duration, image string) appsv1.ControllerRevision {
	patch, _ := json.Marshal(map[string]any{"spec": map[string]any{"template": template(image)}})
	return appsv1.ControllerRevision{ObjectMeta: owned(meta(name, "cr-"+name, created), kind, owner, uid), Revision: number, Data: runtime.RawExtension{Raw: patch}}
}

func (b *builder) ownedPod(name, kind, owner, revision string, s corev1.ContainerStatus, created time.Duration) *corev1.Pod {
	p := b.addPod(name, owner, "db:1", "w1", created, s)
	p.OwnerReferences[0].Kind = kind
	p.Labels = map[string]string{appsv1.StatefulSetRevisionLabel: revision}
	return p
}

// daemonCase is a DaemonSet on two nodes, one of which has the new pod.
func daemonCase(change func(*appsv1.DaemonSet)) *builder {
	b := deploymentCase()
	in := b.in
	in.Deployments, in.ReplicaSets, in.Pods = nil, nil, nil
	one := intstr.FromInt32(1)
	ds := appsv1.DaemonSet{
		ObjectMeta: meta("agent", "ds", time.Hour),
		Spec:       appsv1.DaemonSetSpec{Template: template("agent:2"), UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &one}}},
		Status:     appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 2, CurrentNumberScheduled: 2, NumberReady: 1, NumberAvailable: 1, UpdatedNumberScheduled: 1},
	}
	ds.Generation = 2
	change(&ds)
	in.DaemonSets = []appsv1.DaemonSet{ds}
	for i, r := range []string{"agent-r1", "agent-r2"} {
		in.ControllerRevisions = append(in.ControllerRevisions, controllerRevision(r, "DaemonSet", "agent", "ds", int64(i+1), time.Duration(60-i*58)*time.Minute, fmt.Sprintf("agent:%d", i+1)))
	}
	b.ownedPod("agent-a", "DaemonSet", "ds", "r1", running(time.Hour), time.Hour)
	b.ownedPod("agent-b", "DaemonSet", "ds", "r2", notReadyYet(40*time.Second), time.Minute).Spec.NodeName = "w2"
	b.pod = 1
	return b
}

func (b *builder) lease(name string, old time.Duration) *builder {
	at := metav1.NewMicroTime(now.Add(-old))
	b.in.Leases = append(b.in.Leases, coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system"}, Spec: coordinationv1.LeaseSpec{RenewTime: &at}})
	return b
}

// nodeLease is a heartbeat so long ago, which the input holds as asked for.
func (b *builder) nodeLease(node string, ago time.Duration) {
	at := metav1.NewMicroTime(now.Add(-ago))
	b.in.Leases = append(b.in.Leases, coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: node, Namespace: corev1.NamespaceNodeLease}, Spec: coordinationv1.LeaseSpec{RenewTime: &at}})
	b.fetch(model.Need{Kind: model.NeedLease, Namespace: corev1.NamespaceNodeLease, Name: node})
}

// scaledBy says who set spec.replicas.
func (b *builder) scaledBy(manager, subresource string) {
	entry := metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`)}
	if subresource == "" {
		entry.Time = plain.Ptr(ago(time.Minute))
	}
	b.d.ManagedFields = []metav1.ManagedFieldsEntry{entry}
}
