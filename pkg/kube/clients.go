package kube

import (
	"cmp"
	"net/http"

	"k8s.io/client-go/discovery"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	batchv1 "k8s.io/client-go/kubernetes/typed/batch/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"
	networkingv1 "k8s.io/client-go/kubernetes/typed/networking/v1"
	storagev1 "k8s.io/client-go/kubernetes/typed/storage/v1"
	"k8s.io/client-go/rest"
)

// Clients are the API groups that the plugins use, under the names of client-go's clientset, whose fake is one, too. The
// clientset itself has fifty groups, and all of their code would be in every binary: 0.6 MB.
type Clients interface {
	Discovery() discovery.DiscoveryInterfaces
	AppsV1() appsv1.AppsV1Interface
	AuthenticationV1() authenticationv1.AuthenticationV1Interface
	AuthorizationV1() authorizationv1.AuthorizationV1Interface
	BatchV1() batchv1.BatchV1Interface
	CoordinationV1() coordinationv1.CoordinationV1Interface
	CoreV1() corev1.CoreV1Interface
	DiscoveryV1() discoveryv1.DiscoveryV1Interface
	NetworkingV1() networkingv1.NetworkingV1Interface
	StorageV1() storagev1.StorageV1Interface
}

type clients struct {
	discovery      *discovery.DiscoveryClient
	apps           *appsv1.AppsV1Client
	authentication *authenticationv1.AuthenticationV1Client
	authorization  *authorizationv1.AuthorizationV1Client
	batch          *batchv1.BatchV1Client
	coordination   *coordinationv1.CoordinationV1Client
	core           *corev1.CoreV1Client
	slices         *discoveryv1.DiscoveryV1Client
	networking     *networkingv1.NetworkingV1Client
	storage        *storagev1.StorageV1Client
}

func (c *clients) Discovery() discovery.DiscoveryInterfaces { return c.discovery }
func (c *clients) AppsV1() appsv1.AppsV1Interface           { return c.apps }
func (c *clients) AuthenticationV1() authenticationv1.AuthenticationV1Interface {
	return c.authentication
}

func (c *clients) AuthorizationV1() authorizationv1.AuthorizationV1Interface { return c.authorization }
func (c *clients) BatchV1() batchv1.BatchV1Interface                         { return c.batch }
func (c *clients) CoordinationV1() coordinationv1.CoordinationV1Interface    { return c.coordination }
func (c *clients) CoreV1() corev1.CoreV1Interface                            { return c.core }
func (c *clients) DiscoveryV1() discoveryv1.DiscoveryV1Interface             { return c.slices }
func (c *clients) NetworkingV1() networkingv1.NetworkingV1Interface          { return c.networking }
func (c *clients) StorageV1() storagev1.StorageV1Interface                   { return c.storage }

// newClients makes them for one connection, whose transport they share.
func newClients(config *rest.Config, transport *http.Client) (*clients, error) {
	var err error
	c := &clients{
		discovery:      made(&err, discovery.NewDiscoveryClientForConfigAndClient, config, transport),
		apps:           made(&err, appsv1.NewForConfigAndClient, config, transport),
		authentication: made(&err, authenticationv1.NewForConfigAndClient, config, transport),
		authorization:  made(&err, authorizationv1.NewForConfigAndClient, config, transport),
		batch:          made(&err, batchv1.NewForConfigAndClient, config, transport),
		coordination:   made(&err, coordinationv1.NewForConfigAndClient, config, transport),
		core:           made(&err, corev1.NewForConfigAndClient, config, transport),
		slices:         made(&err, discoveryv1.NewForConfigAndClient, config, transport),
		networking:     made(&err, networkingv1.NewForConfigAndClient, config, transport),
		storage:        made(&err, storagev1.NewForConfigAndClient, config, transport),
	}
	return c, err
}

// made keeps the first error.
func made[T any](failed *error, client func(*rest.Config, *http.Client) (T, error), config *rest.Config, transport *http.Client) T {
	c, err := client(config, transport)
	*failed = cmp.Or(*failed, err)
	return c
}
