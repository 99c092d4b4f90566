package server_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

// TestSchemasAreWhatIsAnswered compares the schemas of answers with the types that
// are answered.
func TestSchemasAreWhatIsAnswered(t *testing.T) {
	s := start(t, func(cfg *server.Config) { cfg.State = t.TempDir() })
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]struct{ Enum []string }
			}
		}
	}
	if err := json.Unmarshal([]byte(s.call("GET", "/openapi.json", "", "").want(t, 200).body), &document); err != nil {
		t.Fatal(err)
	}
	for name, answered := range map[string]any{
		"Account": account.Account{}, "Client": account.Client{}, "Session": account.Session{}, "Event": account.Event{},
		"Key": token.KeyStatus{}, "NewKey": token.Key{},
	} {
		schema := document.Components.Schemas[name]
		var members, always []string
		for _, field := range reflect.VisibleFields(reflect.TypeOf(answered)) {
			member, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if member == "" || member == "-" {
				continue
			}
			members = append(members, member)
			if options == "" {
				always = append(always, member)
			}
			if _, described := schema.Properties[member]; !described {
				t.Errorf("%s: %s is not described", name, member)
			}
		}
		for member := range schema.Properties {
			if !slices.Contains(members, member) {
				t.Errorf("%s: %s is never answered", name, member)
			}
		}
		slices.Sort(always)
		slices.Sort(schema.Required)
		if !slices.Equal(always, schema.Required) {
			t.Errorf("%s: always there are %q, but required %q", name, always, schema.Required)
		}
	}
	for schema, kinds := range map[string][]string{"Event.actor_kind": account.ActorKinds()} {
		name, member, _ := strings.Cut(schema, ".")
		if enum := document.Components.Schemas[name].Properties[member].Enum; !slices.Equal(slices.Sorted(slices.Values(enum)), slices.Sorted(slices.Values(kinds))) {
			t.Errorf("%s: %q, want %q", schema, enum, kinds)
		}
	}
}
