package component

// Skew says whether a component of the control plane may run beside an API server that is that many minor versions newer;
// negative: older. ok is false for a component that the policy does not name.
// https://kubernetes.io/releases/version-skew-policy/#kube-controller-manager-kube-scheduler-and-cloud-controller-manager
func Skew(name string, behind int) (supported, ok bool) {
	switch name {
	case "kube-apiserver":
		return behind >= -1 && behind <= 1, true
	case "kube-controller-manager", "kube-scheduler":
		return behind >= 0 && behind <= 1, true
	}
	return false, false // a cloud's controllers have versions of their own, etcd too
}
