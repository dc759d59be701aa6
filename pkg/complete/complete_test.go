package complete_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func setUp(t *testing.T) (*testkit.Server, *kube.Flags, *cobra.Command) {
	t.Helper()
	server := testkit.NewServer(t)
	list := metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{Kind: "PartialObjectMetadataList", APIVersion: "meta.k8s.io/v1"}}
	for _, name := range []string{"w2", "cp1", "w1"} {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	server.Answer("/api/v1/nodes", list)
	flags := kube.NewFlags("test", time.Now)
	if err := flags.FlagSet().Parse([]string{"--kubeconfig", server.Kubeconfig(t)}); err != nil {
		t.Fatal(err)
	}
	command := &cobra.Command{}
	command.SetContext(t.Context())
	return server, flags, command
}

func TestNodesOffersWhatIsLeftToName(t *testing.T) {
	_, flags, command := setUp(t)
	got, directive := complete.Nodes(flags)(command, []string{"w1"}, "w")
	if d := cmp.Diff([]string{"w2"}, got); d != "" || directive != cobra.ShellCompDirectiveNoFileComp {
		t.Errorf("%s %v", d, directive)
	}
}

func TestAForbiddenClusterOffersNothing(t *testing.T) {
	server, flags, command := setUp(t)
	server.Refuse("/api/v1/nodes", http.StatusForbidden)
	if got, _ := complete.Nodes(flags)(command, nil, ""); len(got) > 0 {
		t.Error(got)
	}
}

func TestContextsComeFromTheKubeconfig(t *testing.T) {
	_, flags, command := setUp(t)
	got, _ := complete.Contexts(flags)(command, nil, "")
	if d := cmp.Diff([]string{"test"}, got); d != "" {
		t.Error(d)
	}
}
