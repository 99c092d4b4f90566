package authz_test

import (
	"fmt"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

// A log in text prints reasons by %+v.
func TestReasonsInALog(t *testing.T) {
	reasons := []authz.Reason{{Code: "a", Message: "no a"}, {Code: "b", Message: "no b", DependsOn: authz.DependsOnResource}}
	if got := fmt.Sprintf("%+v", reasons); got != "[a (no a) b (no b)]" {
		t.Errorf("got %s", got)
	}
}
