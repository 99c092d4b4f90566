package policy

import (
	"path/filepath"
	"testing"

	"github.com/stagedoor/stagedoor/data"
	"github.com/stagedoor/stagedoor/policies"
)

// The policy that comes with the binary is loaded without a warning, embedded
// as from its directories, and is the same one.
func TestShippedPolicy(t *testing.T) {
	t.Parallel()
	embedded, err := Load(t.Context(), FS(policies.FS, data.FS), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if w := embedded.Warnings(); len(w) > 0 || embedded.Tests().Passed == 0 {
		t.Errorf("warnings %v, tests %+v", w, embedded.Tests())
	}
	up := filepath.Join("..", "..")
	read, err := Dir(filepath.Join(up, "policies"), filepath.Join(up, "data")).read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if read.digest != embedded.Revision() {
		t.Error("the directories hold another policy than the binary")
	}
}
