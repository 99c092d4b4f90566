package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/authz"
)

func TestCreatedAccountIsNormalizedAndFound(t *testing.T) {
	r := newRig(t)
	created := r.create(account.Account{
		ID: "chosen", Username: "ZOE\u0308", Email: "Zoe@Example.com", FullName: "Zoe\u0308 Doe", Roles: []string{"b", "a", "b"},
		Attributes: map[string]any{"n": 1, "big": uint64(math.MaxUint64)},
	}, "secretzoe")
	if created.ID == "chosen" || len(created.ID) != 26 || created.Username != "ZOË" || created.FullName != "Zoë Doe" ||
		!reflect.DeepEqual(created.Roles, []string{"a", "b"}) || !created.CreatedAt.Equal(r.clock.Now()) {
		t.Errorf("created %#v", created)
	}
	for _, ref := range []string{created.ID, strings.ToLower(created.ID), "zoë", "Zoë", "ZOE\u0308", "zoe@example.com", "ZOE@EXAMPLE.COM"} {
		found, err := r.directory.Find(t.Context(), ref)
		if err != nil || !reflect.DeepEqual(found, created) {
			t.Errorf("%q: %#v, %v", ref, found, err)
		}
	}
	for _, ref := range []string{"", "zoe", "nobody", "zo\x00", strings.Repeat("x", 1000), "01J00000000000000000000000"} {
		if _, err := r.directory.Find(t.Context(), ref); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", ref, err)
		}
	}
	subject, err := r.directory.Subject(t.Context(), created.ID)
	want := &authz.Subject{Kind: authz.KindAccount, ID: created.ID, Username: "ZOË", Roles: []string{"a", "b"},
		Attributes: map[string]any{"n": json.Number("1"), "big": json.Number("18446744073709551615")}}
	if err != nil || !reflect.DeepEqual(subject, want) {
		t.Errorf("subject %#v, %v, want %#v", subject, err, want)
	}
	// sub is an id and nothing else.
	for _, id := range []string{"zoë", "zoe@example.com", strings.ToLower(created.ID), ""} {
		if _, err := r.directory.Subject(t.Context(), id); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("subject %q: %v, want ErrNotFound", id, err)
		}
	}
}

func TestAccountsThatAreRefused(t *testing.T) {
	good := func(change func(*account.Account)) account.Account {
		a := account.Account{Username: "dave"}
		change(&a)
		return a
	}
	cases := []struct {
		name  string
		field string
		a     account.Account
	}{
		{"no username", "username", good(func(a *account.Account) { a.Username = "" })},
		{"username with a space", "username", good(func(a *account.Account) { a.Username = "da ve" })},
		{"username with a control character", "username", good(func(a *account.Account) { a.Username = "da\nve" })},
		{"username with an invisible character", "username", good(func(a *account.Account) { a.Username = "da\u200bve" })},
		{"username that is not UTF-8", "username", good(func(a *account.Account) { a.Username = "\xff" })},
		{"username too long", "username", good(func(a *account.Account) { a.Username = strings.Repeat("x", 255) })},
		{"username like an id", "username", good(func(a *account.Account) { a.Username = "01arz3ndektsv4rrffq69g5fav" })},
		{"e-mail without @", "email", good(func(a *account.Account) { a.Email = "dave" })},
		{"e-mail with a name", "email", good(func(a *account.Account) { a.Email = "Dave <dave@example.com>" })},
		{"two e-mails", "email", good(func(a *account.Account) { a.Email = "a@example.com, b@example.com" })},
		{"e-mail with a line break", "email", good(func(a *account.Account) { a.Email = "a@example.com\r\nBcc: b@example.com" })},
		{"full name with a line break", "full_name", good(func(a *account.Account) { a.FullName = "Dave\nAdmin" })},
		{"full name too long", "full_name", good(func(a *account.Account) { a.FullName = strings.Repeat("x", 257) })},
		{"empty role", "roles", good(func(a *account.Account) { a.Roles = []string{""} })},
		{"role with a comma", "roles", good(func(a *account.Account) { a.Roles = []string{"a,b"} })},
		{"role with a quote", "roles", good(func(a *account.Account) { a.Roles = []string{`a"b`} })},
		{"role with a space at the end", "roles", good(func(a *account.Account) { a.Roles = []string{"a "} })},
		{"role with a line break", "roles", good(func(a *account.Account) { a.Roles = []string{"a\nb"} })},
		{"role too long", "roles", good(func(a *account.Account) { a.Roles = []string{strings.Repeat("x", 129)} })},
		{"too many roles", "roles", good(func(a *account.Account) { a.Roles = make([]string, 1001) })},
		{"attributes that are not JSON", "attributes", good(func(a *account.Account) { a.Attributes = map[string]any{"f": math.NaN()} })},
		{"attributes with a long number", "attributes", good(func(a *account.Account) {
			a.Attributes = map[string]any{"f": []any{json.Number(strings.Repeat("9", 65))}}
		})},
		{"attributes with a tiny number", "attributes", good(func(a *account.Account) {
			a.Attributes = map[string]any{"f": map[string]any{"g": json.Number("1e-1000")}}
		})},
		{"attributes too large", "attributes", good(func(a *account.Account) { a.Attributes = map[string]any{"f": strings.Repeat("x", 1<<16)} })},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.directory.Create(t.Context(), tc.a, "secretdave")
			var invalid *account.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != tc.field {
				t.Errorf("creating: %v, want an InvalidError of %s", err, tc.field)
			}
			created := r.create(account.Account{Username: "before", Email: "before@example.com", Roles: []string{"r"}}, "secretdave")
			_, err = r.directory.Update(t.Context(), "before", func(a *account.Account) error {
				id := a.ID
				*a = tc.a
				a.ID = id
				return nil
			})
			if !errors.As(err, &invalid) || invalid.Field != tc.field {
				t.Errorf("updating: %v, want an InvalidError of %s", err, tc.field)
			}
			if list, err := r.directory.List(t.Context()); err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], created) {
				t.Errorf("a refused account left traces: %v, %v", list, err)
			}
		})
	}
	t.Run("every fault is told", func(t *testing.T) {
		_, err := newRig(t).directory.Create(t.Context(), account.Account{Username: "a b", Email: "c", Roles: []string{"", ","}}, "")
		for _, want := range []string{"username", "email", "0 bytes", `","`, "password"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not mention %s", err, want)
			}
		}
	})
}

func TestCreateWantsOnePasswordOrOneHash(t *testing.T) {
	r := newRig(t)
	cases := []struct{ name, password, hash string }{
		{"neither", "", ""},
		{"both", "secretdave", bcryptHash(t, "secretdave")},
		{"an unusable hash", "", "hunter2"},
		{"a password too long", strings.Repeat("x", 1025), ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := r.directory.Create(t.Context(), account.Account{Username: "dave", PasswordHash: tc.hash}, tc.password); err == nil {
				t.Error("created an account")
			} else if strings.Contains(err.Error(), "secretdave") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message tells a secret: %v", err)
			}
		})
	}
}

func TestNamesAreUniqueAcrossUsernamesAndAddresses(t *testing.T) {
	r := newRig(t)
	r.create(account.Account{Username: "carol", Email: "carol@example.com"}, "x")
	r.create(account.Account{Username: "same@example.com", Email: "SAME@example.com"}, "x")
	for _, a := range []account.Account{
		{Username: "CAROL"}, {Username: "Carol@Example.com"}, {Username: "dave", Email: "CAROL@example.com"}, {Username: "dave", Email: "same@example.com"},
	} {
		_, err := r.directory.Create(t.Context(), a, "x")
		var conflict *account.ConflictError
		if !errors.As(err, &conflict) || len(conflict.Conflicts) == 0 || conflict.Conflicts[0].Holder == "" {
			t.Errorf("%s %s: %v, want a ConflictError", a.Username, a.Email, err)
		}
	}
	if count, err := r.directory.Count(t.Context()); err != nil || count != 2 {
		t.Errorf("%d accounts, %v", count, err)
	}
}

func TestUpdate(t *testing.T) {
	r := newRig(t)
	carol := r.carol()
	r.clock.advance(time.Hour)
	updated, err := r.directory.Update(t.Context(), "Carol@example.com", func(a *account.Account) error {
		a.ID, a.CreatedAt = "another", time.Time{}
		a.Username, a.Roles = "Caroline", []string{"b", "a"}
		return nil
	})
	if err != nil || updated.ID != carol.ID || !updated.CreatedAt.Equal(carol.CreatedAt) || !updated.UpdatedAt.Equal(r.clock.Now()) ||
		updated.Username != "Caroline" || !reflect.DeepEqual(updated.Roles, []string{"a", "b"}) {
		t.Errorf("updated %#v, %v", updated, err)
	}
	r.mustLogin("caroline", "secretcarol", home)
	r.mustFail("carol", "secretcarol", home)

	for _, step := range []struct {
		name string
		do   func(ref string) error
	}{
		{"Update", func(ref string) error {
			_, err := r.directory.Update(t.Context(), ref, func(*account.Account) error { return nil })
			return err
		}},
		{"SetPassword", func(ref string) error { return r.directory.SetPassword(t.Context(), ref, "another one") }},
		{"Remove", func(ref string) error { return r.directory.Remove(t.Context(), ref) }},
	} {
		if err := step.do("nobody"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%s of nobody: %v, want ErrNotFound", step.name, err)
		}
		if err := step.do("caroline"); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if step.name == "SetPassword" {
			r.mustFail("caroline", "secretcarol", home)
			r.mustLogin("caroline", "another one", home)
		}
	}
	r.mustFail("caroline", "another one", home)
	if _, err := r.directory.Subject(t.Context(), carol.ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a removed account is a subject: %v", err)
	}
	refusal := errors.New("no")
	r.carol()
	if _, err := r.directory.Update(t.Context(), "carol", func(*account.Account) error { return refusal }); !errors.Is(err, refusal) {
		t.Errorf("got %v, want change's error", err)
	}
	if _, err := r.directory.Update(t.Context(), "carol", func(a *account.Account) error { a.PasswordHash = "hunter2"; return nil }); !errors.Is(err, account.ErrHash) {
		t.Errorf("got %v, want ErrHash", err)
	}
}

func TestUpdatesAtOnceLoseNothing(t *testing.T) {
	r := newRig(t)
	r.carol()
	var wait sync.WaitGroup
	for n := range 20 {
		wait.Go(func() {
			_, err := r.directory.Update(t.Context(), "carol", func(a *account.Account) error {
				a.Roles = append(a.Roles, fmt.Sprint("role", n))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if a, err := r.directory.Find(t.Context(), "carol"); err != nil || len(a.Roles) != 21 {
		t.Errorf("%d roles (%v), want 21", len(a.Roles), err)
	}
}

func TestEnsureAccountsAddsWhatIsMissing(t *testing.T) {
	r := newRig(t)
	r.carol()
	hash := bcryptHash(t, "secret")
	accounts := []account.Account{{Username: "johndoe", PasswordHash: hash}, {Username: "Carol", PasswordHash: hash}, {Username: "alice", PasswordHash: hash}}
	if names, err := r.directory.EnsureAccounts(t.Context(), accounts); err != nil || !reflect.DeepEqual(names, []string{"johndoe", "alice"}) {
		t.Errorf("first: %v, %v", names, err)
	}
	if names, err := r.directory.EnsureAccounts(t.Context(), accounts); err != nil || len(names) != 0 {
		t.Errorf("second: %v, %v", names, err)
	}
	r.mustLogin("carol", "secretcarol", home)
	r.mustLogin("johndoe", "secret", home)
	for name, bad := range map[string]account.Account{
		"a bad hash": {Username: "dave", PasswordHash: "hunter2"}, "no hash": {Username: "dave"},
		"another's address": {Username: "dave", Email: "carol@example.com", PasswordHash: hash},
	} {
		if names, err := r.directory.EnsureAccounts(t.Context(), []account.Account{{Username: "erin", PasswordHash: hash}, bad}); err == nil {
			t.Errorf("%s: added %v", name, names)
		}
	}
	if _, err := r.directory.Find(t.Context(), "erin"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("half of a batch was added: %v", err)
	}
}

func TestAccountTellsNoHash(t *testing.T) {
	a := account.Account{ID: "id", Username: "carol", PasswordHash: "the hash"}
	encoded, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("message", "account", a, "pointer", &a)
	for _, text := range []string{string(encoded), fmt.Sprintf("%v %+v %s", a, a, a), fmt.Sprint(&a), log.String()} {
		if strings.Contains(text, "the hash") {
			t.Errorf("tells the hash: %s", text)
		}
	}
}
