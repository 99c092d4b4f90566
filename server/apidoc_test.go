package server_test

import (
	"encoding/json"
	"fmt"
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

// TestEverythingThatIsDescribedIsServed asks for each operation of the document
// that the server itself gives out.
func TestEverythingThatIsDescribedIsServed(t *testing.T) {
	for _, isDemo := range []bool{true, false} {
		t.Run(fmt.Sprintf("demo %v", isDemo), func(t *testing.T) {
			state := t.TempDir()
			if !isDemo {
				addAdmin(t, state)
			}
			s := start(t, func(cfg *server.Config) { cfg.State, cfg.Demo = state, isDemo })
			who, password := "johndoe", "secret"
			if !isDemo {
				who, password = "root", "correct horse"
			}
			var document struct {
				Paths map[string]map[string]json.RawMessage
			}
			if err := json.Unmarshal([]byte(s.call("GET", "/openapi.json", "", "").want(t, 200).body), &document); err != nil {
				t.Fatal(err)
			}
			if _, there := document.Paths["/admin-only"]; there != isDemo {
				t.Errorf("/admin-only is described: %v", there)
			}
			for pattern, operations := range document.Paths {
				path := strings.NewReplacer("/docs/{path}", "/docs/swagger-ui.css", "{id}", "01K00000000000000000000000").Replace(pattern)
				for method := range operations {
					if method == "parameters" {
						continue
					}
					// A token for each: some take back what it stands on.
					a := s.admin(s.token(who, password, ""), strings.ToUpper(method), path, "", "If-Match", "*")
					served := a.StatusCode != 405 && (a.StatusCode != 404 || a.text(t, "detail") != "")
					if !served || a.StatusCode == 401 && path != "/introspect" || a.StatusCode == 403 && pattern != "/client-only" || a.StatusCode >= 500 {
						t.Errorf("%s %s: %d %s", method, path, a.StatusCode, a.body)
					}
				}
			}
		})
	}
}

// addAdmin makes a state with an administrator that is not one of the demo's.
func addAdmin(t *testing.T, state string) {
	t.Helper()
	opened, err := server.OpenState(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	_, err = account.New(opened, account.Options{}).Create(t.Context(), account.Account{Username: "root", Roles: []string{"admin"}}, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
}
