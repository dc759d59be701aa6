package main

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// replicas is how many pods a Deployment has, and how many endpoints a Service.
const replicas = 10

// hash is that of every pod template.
const hash = "7d9c5b6f4d"

func appName(app int) string { return fmt.Sprintf("service-%04d", app) }

func namespaceOf(app int) string { return fmt.Sprintf("team-%03d", app%namespaces) }

const namespaces = 200

func podIP(i int) string { return fmt.Sprintf("10.%d.%d.%d", 64+i>>16&63, i>>8&255, i&255) }

// workloads writes what owns the pods, Services, and their namespaces.
func (w *writer) workloads(pods, services int, now time.Time) {
	for i := range namespaces {
		name := namespaceOf(i)
		w.put("/registry/namespaces/"+name, "v1", "Namespace", &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid(6, i)}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
		})
	}
	for app := range pods / replicas {
		d := deployment(app, now)
		w.put("/registry/deployments/"+d.Namespace+"/"+d.Name, "apps/v1", "Deployment", d)
		r := replicaSet(d, app)
		w.put("/registry/replicasets/"+r.Namespace+"/"+r.Name, "apps/v1", "ReplicaSet", r)
	}
	for i := range services {
		s, slice := service(i, now)
		w.put("/registry/services/specs/"+s.Namespace+"/"+s.Name, "v1", "Service", s)
		if ip := s.Spec.ClusterIP; ip != corev1.ClusterIPNone {
			w.put("/registry/ipaddresses/"+ip, "networking.k8s.io/v1", "IPAddress", address(s))
		}
		w.put("/registry/endpointslices/"+s.Namespace+"/"+slice.Name, "discovery.k8s.io/v1", "EndpointSlice", slice)
	}
}

// address is what the API server has of each cluster IP: it does not start before thousands that lack it are repaired.
func address(s *corev1.Service) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: s.Spec.ClusterIP, Labels: map[string]string{
			networkingv1.LabelIPAddressFamily: string(corev1.IPv4Protocol), networkingv1.LabelManagedBy: "ipallocator.k8s.io",
		}},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: s.Namespace, Name: s.Name}},
	}
}

func deployment(app int, now time.Time) *appsv1.Deployment {
	created, changed := times(now)
	count := int32(replicas)
	template := pod(app*replicas, "", now)
	status := func(kind appsv1.DeploymentConditionType, reason string) appsv1.DeploymentCondition {
		return appsv1.DeploymentCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: reason, LastUpdateTime: changed, LastTransitionTime: created,
		}
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespaceOf(app), Name: appName(app), UID: uid(7, app), Generation: 1, CreationTimestamp: created,
			Labels:        map[string]string{"app": appName(app)},
			Annotations:   map[string]string{"deployment.kubernetes.io/revision": "1"},
			ManagedFields: managed("kube-controller-manager", podFields, created, changed),
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &count, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": appName(app)}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": appName(app), "app.kubernetes.io/part-of": "shop"}},
				Spec: corev1.PodSpec{
					Containers: template.Spec.Containers, RestartPolicy: template.Spec.RestartPolicy, DNSPolicy: template.Spec.DNSPolicy,
					SchedulerName: template.Spec.SchedulerName, SecurityContext: template.Spec.SecurityContext,
				},
			},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType},
		},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 1, Replicas: count, UpdatedReplicas: count, ReadyReplicas: count, AvailableReplicas: count,
			Conditions: []appsv1.DeploymentCondition{
				status(appsv1.DeploymentAvailable, "MinimumReplicasAvailable"), status(appsv1.DeploymentProgressing, "NewReplicaSetAvailable"),
			},
		},
	}
}

func replicaSet(d *appsv1.Deployment, app int) *appsv1.ReplicaSet {
	labels := map[string]string{"app": d.Name, "pod-template-hash": hash}
	r := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.Name + "-" + hash, UID: uid(5, app), Generation: 1, CreationTimestamp: d.CreationTimestamp,
			Labels: labels, Annotations: d.Annotations, ManagedFields: d.ManagedFields,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: d.Spec.Replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: *d.Spec.Template.DeepCopy(),
		},
		Status: appsv1.ReplicaSetStatus{
			ObservedGeneration: 1, Replicas: replicas, FullyLabeledReplicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas,
		},
	}
	r.Spec.Template.Labels["pod-template-hash"] = hash
	return r
}

// service is one of ten endpoints; every tenth is headless.
func service(i int, now time.Time) (*corev1.Service, *discoveryv1.EndpointSlice) {
	created, _ := times(now)
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(i), Name: appName(i), UID: uid(8, i), CreationTimestamp: created},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, Selector: map[string]string{"app": appName(i)}, SessionAffinity: corev1.ServiceAffinityNone,
			ClusterIP: fmt.Sprintf("10.96.%d.%d", 1+i/250, 1+i%250), IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	if i%10 == 9 {
		s.Spec.ClusterIP = corev1.ClusterIPNone
	}
	single := corev1.IPFamilyPolicySingleStack
	s.Spec.ClusterIPs, s.Spec.IPFamilyPolicy = []string{s.Spec.ClusterIP}, &single
	name, port, protocol, ready := "http", int32(8080), corev1.ProtocolTCP, true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: s.Name + "-abcde", UID: uid(9, i), CreationTimestamp: created,
			Labels: map[string]string{discoveryv1.LabelServiceName: s.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
	}
	for k := range replicas {
		node := nodeName(k)
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{podIP(i*replicas + k)}, NodeName: &node,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &ready},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: s.Namespace, Name: podName(i*replicas + k), UID: uid(4, i*replicas+k)},
		})
	}
	return s, slice
}
