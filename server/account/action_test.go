package account_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
)

// TestActions reads the actions that there are where they are declared: one
// that is not listed could not be asked for.
func TestActions(t *testing.T) {
	source, err := os.ReadFile("action.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, match := range regexp.MustCompile(`(?m)^\t\w+ += "([a-z]+\.[a-z_]+)"$`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, match[1])
	}
	if len(declared) < 20 {
		t.Fatalf("only %d actions are found in action.go; is it read right?", len(declared))
	}
	if known := account.Actions(); !slices.Equal(slices.Sorted(slices.Values(declared)), slices.Sorted(slices.Values(known))) {
		t.Errorf("action.go declares\n%q\nbut Actions lists\n%q", declared, known)
	}
}

func TestNamedActions(t *testing.T) {
	for name, want := range map[string][]string{
		"login":        {account.LoginSucceeded, account.LoginFailed},
		"login.failed": {account.LoginFailed},
		"logn":         nil,
		"":             nil,
	} {
		if got := account.NamedActions(name); !slices.Equal(got, want) {
			t.Errorf("%q names %v, want %v", name, got, want)
		}
	}
}
