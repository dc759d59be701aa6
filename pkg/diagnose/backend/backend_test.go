package backend

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func endpoint(ready *bool, more ...bool) discoveryv1.Endpoint {
	node := "w1"
	e := discoveryv1.Endpoint{NodeName: &node, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "p"}}
	e.Conditions.Ready = ready
	if len(more) == 2 {
		e.Conditions.Serving, e.Conditions.Terminating = &more[0], &more[1]
	}
	return e
}

func TestWhatStandsBehindAReference(t *testing.T) {
	yes, no := new(true), new(false)
	https := "https"
	service := func(change func(*corev1.Service)) []corev1.Service {
		s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "hook"}}
		s.Spec.ClusterIP, s.Spec.Ports = "10.0.0.1", []corev1.ServicePort{{Name: https, Port: 443}}
		change(&s)
		return []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "hook"}}, s}
	}
	plain := func(*corev1.Service) {}
	slice := func(list ...discoveryv1.Endpoint) []discoveryv1.EndpointSlice {
		return []discoveryv1.EndpointSlice{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Labels: map[string]string{discoveryv1.LabelServiceName: "hook"}},
			Endpoints:  list, Ports: []discoveryv1.EndpointPort{{Name: &https}},
		}}
	}
	for _, tt := range []struct {
		name     string
		services []corev1.Service
		slices   []discoveryv1.EndpointSlice
		state    State
		ready    int
		unready  int
	}{
		{"an endpoint that is ready", service(plain), slice(endpoint(yes), endpoint(no)), Ready, 1, 1},
		{"an endpoint that says nothing is ready", service(plain), slice(endpoint(nil)), Ready, 1, 0},
		{"the last one ends and still serves", service(plain), slice(endpoint(no, true, true)), Ready, 1, 1},
		{"one ends and serves no more", service(plain), slice(endpoint(no, false, true)), NoneReady, 0, 1},
		{"one is not ready", service(plain), slice(endpoint(no, true, false)), NoneReady, 0, 1},
		{"no endpoints", service(plain), slice(), NoEndpoints, 0, 0},
		{"no slice", service(plain), nil, NoEndpoints, 0, 0},
		{"the Service of another namespace", nil, slice(endpoint(yes)), NoService, 0, 0},
		{"another port", service(func(s *corev1.Service) { s.Spec.Ports[0].Port = 8443 }), slice(endpoint(yes)), NoPort, 0, 0},
		{"pods without the named target port", service(func(s *corev1.Service) { s.Spec.Ports[0].Name = "other" }), slice(endpoint(yes)), NoEndpoints, 0, 0},
		{"an external name", service(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }), nil, Elsewhere, 0, 0},
		{"no address of its own", service(func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone }), slice(endpoint(no)), Elsewhere, 0, 0},
	} {
		b := Of(*RefOf("a", "hook", nil), tt.services, tt.slices)
		if b.State != tt.state || b.Ready != tt.ready || len(b.Unready) != tt.unready {
			t.Errorf("%s: %s, %d ready, unready %+v", tt.name, b.State, b.Ready, b.Unready)
		}
		if fails := tt.state != Ready && tt.state != Elsewhere; b.State.Fails() != fails {
			t.Errorf("%s: fails: %t", tt.name, b.State.Fails())
		}
	}
}

func TestASliceOfTheOtherFamilyHoldsTheSamePods(t *testing.T) {
	services := []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "hook"}}}
	services[0].Spec.ClusterIP, services[0].Spec.Ports = "fd00::9", []corev1.ServicePort{{Port: 443}}
	var list []discoveryv1.EndpointSlice
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		list = append(list, discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "a", Labels: map[string]string{discoveryv1.LabelServiceName: "hook"}},
			AddressType: family, Endpoints: []discoveryv1.Endpoint{endpoint(new(false))}, Ports: []discoveryv1.EndpointPort{{Name: new("")}},
		})
	}
	if b := Of(*RefOf("a", "hook", nil), services, list); b.State != NoneReady || len(b.Unready) != 1 {
		t.Errorf("%+v", b)
	}
}

func TestAReferenceHasADefaultPort(t *testing.T) {
	if RefOf("a", "b", nil).Port != 443 || RefOf("a", "b", new(int32(1))).Port != 1 {
		t.Error("the port is not the reference's, or 443")
	}
}
