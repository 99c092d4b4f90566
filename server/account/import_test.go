package account_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stagedoor/stagedoor/server/account"
)

// article is the user table of the original article.
const article = `{
  "johndoe": {
    "username": "johndoe",
    "full_name": "John Doe",
    "email": "johndoe@example.com",
    "hashed_password": "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
    "disabled": false,
    "role": "admin"
  },
  "alice": {
    "username": "alice",
    "full_name": "Alice Chin",
    "email": null,
    "hashed_password": "$2b$12$gSvqqUPvlXP2tfVFaWK1Be7DlH.PKZbv5H8KnzzVgXXbVxpva.pFm",
    "disabled": true,
    "roles": ["client"]
  }
}`

func TestImport(t *testing.T) {
	hash := bcryptHash(t, "secret")
	argon, err := cheapHasher().Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, file string
		names      []string
		check      func(t *testing.T, a account.Account) // the first
	}{
		{"a list", fmt.Sprintf(`[{"username": "b", "password_hash": %q}, {"username": "a", "hashed_password": %q, "roles": ["y", "x"]}]`, hash, argon), []string{"b", "a"}, nil},
		{"the key is the username", fmt.Sprintf(`{"b": {"hashed_password": %q}}`, hash), []string{"b"}, nil},
		{"nulls", fmt.Sprintf(`[{"username": "b", "hashed_password": %q, "password_hash": null, "email": null, "full_name": null, "disabled": null, "role": null, "roles": null, "attributes": null}]`, hash),
			[]string{"b"}, func(t *testing.T, a account.Account) {
				if a.Disabled || len(a.Roles) != 0 || a.Email != "" {
					t.Errorf("imported %#v", a)
				}
			}},
		{"attributes", fmt.Sprintf(`[{"username": "b", "hashed_password": %q, "attributes": {"n": 9007199254740993, "o": {"a": [1, null]}}}]`, hash),
			[]string{"b"}, func(t *testing.T, a account.Account) {
				if got := fmt.Sprint(a.Attributes); got != "map[n:9007199254740993 o:map[a:[1 <nil>]]]" {
					t.Errorf("attributes %s", got)
				}
			}},
		{"a byte order mark", "\uFEFF" + fmt.Sprintf(`[{"username": "b", "hashed_password": %q}]`, hash), []string{"b"}, nil},
		{"an empty list", `[]`, nil, nil},
		{"an empty dictionary", ` {} `, nil, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			names, err := r.directory.Import(t.Context(), strings.NewReader(tc.file))
			if err != nil || !reflect.DeepEqual(names, tc.names) {
				t.Fatalf("got %v, %v, want %v", names, err, tc.names)
			}
			if count, err := r.directory.Count(t.Context()); err != nil || count != len(tc.names) {
				t.Errorf("%d accounts, %v", count, err)
			}
			if tc.check != nil {
				a, err := r.directory.Find(t.Context(), tc.names[0])
				if err != nil {
					t.Fatal(err)
				}
				tc.check(t, a)
			}
			for _, name := range tc.names {
				r.mustLogin(name, "secret", home)
			}
		})
	}
}

func TestImportOfTheArticlesDictionary(t *testing.T) {
	r := newRig(t)
	directory := account.New(r.store, account.Options{Now: r.clock.Now})
	names, err := directory.Import(t.Context(), strings.NewReader(article))
	if err != nil || !reflect.DeepEqual(names, []string{"johndoe", "alice"}) {
		t.Fatalf("got %v, %v", names, err)
	}
	john, err := directory.Find(t.Context(), "JOHNDOE@example.com")
	if err != nil || john.FullName != "John Doe" || john.Disabled || !reflect.DeepEqual(john.Roles, []string{"admin"}) {
		t.Errorf("johndoe is %#v, %v", john, err)
	}
	alice, err := directory.Find(t.Context(), "alice")
	if err != nil || !alice.Disabled || alice.Email != "" || !reflect.DeepEqual(alice.Roles, []string{"client"}) {
		t.Errorf("alice is %#v, %v", alice, err)
	}
	// Again: both are there already.
	_, err = directory.Import(t.Context(), strings.NewReader(article))
	var refused *account.ImportError
	if !errors.As(err, &refused) || len(refused.Entries) != 3 {
		t.Errorf("importing again: %v", err)
	}
}

func TestImportReportsEveryBadEntryAndImportsNothing(t *testing.T) {
	hash := bcryptHash(t, "secret")
	type fault struct {
		position, says string
	}
	cases := []struct {
		name, file string
		want       []fault
	}{
		{"every kind of fault in a list", `[
{"username": "good", "hashed_password": "` + hash + `"},
{"username": "a b", "hashed_password": "` + hash + `"},
{"username": "c", "hashed_password": "hunter2"},
{"username": "d", "hashed_password": "$2b$14$` + strings.Repeat("a", 53) + `"},
{"username": "e", "hashed_password": "` + hash + `", "roles": ["ok", "not,ok"]},
{"username": "f", "hashed_password": "` + hash + `",
 "emial": "f@example.com", "superuser": true},
{"username": "g"},
{"hashed_password": "` + hash + `"},
"h",
{"username": "i", "hashed_password": "` + hash + `", "disabled": "yes", "role": 5, "email": ["x"]},
{"username": "GOOD", "hashed_password": "` + hash + `"},
{"username": "j", "email": "carol@example.COM", "hashed_password": "` + hash + `"},
{"username": "k", "password": "hunter2"},
{"username": "l", "hashed_password": "` + hash + `", "role": "x", "roles": ["y"], "password_hash": "` + hash + `"},
{"username": "m", "hashed_password": "` + hash + `", "username": "n"},
{"username": "o", "hashed_password": "` + hash + `", "attributes": {"a": {"b": 1, "b": 2}}},
{"username": "p", "hashed_password": "` + hash + `", "attributes": [1]},
{"username": "q", "Hashed_Password": "` + hash + `"},
{"username": "r", "email": "nonsense", "hashed_password": "` + hash + `"}
]`, []fault{
			{"entry 2 (index 1, line 3)", `username "a b"`},
			{"entry 3 (index 2, line 4)", "unusable password hash"},
			{"entry 4 (index 3, line 5)", "cost 14"},
			{"entry 5 (index 4, line 6)", `roles has "not,ok"`},
			{"entry 6 (index 5, line 7)", `unknown member "emial"`},
			{"entry 6 (index 5, line 7)", `unknown member "superuser"`},
			{"entry 7 (index 6, line 9)", "hashed_password is missing"},
			{"entry 8 (index 7, line 10)", "username is missing"},
			{"entry 9 (index 8, line 11)", "is not an object"},
			{"entry 10 (index 9, line 12)", "disabled is not true or false"},
			{"entry 10 (index 9, line 12)", "role is not a string"},
			{"entry 10 (index 9, line 12)", "email is not a string"},
			{"entry 11 (index 10, line 13)", `"good" is already a name of entry 1 (index 0, line 2)`},
			{"entry 12 (index 11, line 14)", `"carol@example.com" is already a name of the account carol`},
			{"entry 13 (index 12, line 15)", "plain passwords are not imported"},
			{"entry 14 (index 13, line 16)", "both role and roles"},
			{"entry 14 (index 13, line 16)", "both hashed_password and password_hash"},
			{"entry 15 (index 14, line 17)", `"username" twice`},
			{"entry 16 (index 15, line 18)", `"b" twice`},
			{"entry 17 (index 16, line 19)", "attributes is not an object"},
			{"entry 18 (index 17, line 20)", `unknown member "Hashed_Password"`},
			{"entry 18 (index 17, line 20)", "hashed_password is missing"},
			{"entry 19 (index 18, line 21)", `email "nonsense"`},
		}},
		{"a dictionary", `{
 "good": {"hashed_password": "` + hash + `"},
 "one": {"username": "two", "hashed_password": "` + hash + `"},
 "good": {"hashed_password": "` + hash + `"},
 "carol": {"hashed_password": "` + hash + `"},
 "": {"hashed_password": "` + hash + `"}
}`, []fault{
			{`entry "one" (line 3)`, "differs from the key"},
			{`entry "good" (line 4)`, "the same key came before"},
			{`entry "good" (line 4)`, "already a name of"},
			{`entry "carol" (line 5)`, "already a name of the account carol"},
			{"entry 5 (index 4, line 6)", "username is missing"},
		}},
		{"a file that ends too early", "[\n{\"username\": \"x\",\n", []fault{{"line 3", "ends too early"}}},
		{"an empty file", "", []fault{{"line 1", "ends too early"}}},
		{"a syntax error", "[\n{\"username\": \"x\",,\n}]", []fault{{"line 2", "invalid character ','"}}},
		{"two documents", "[]\n[]", []fault{{"line 2", "something follows"}}},
		{"a document of another kind", "\n\"users\"", []fault{{"line 2", "neither a list of users nor a dictionary"}}},
		{"not UTF-8", "[\"\xff\"]", []fault{{"file", "not UTF-8"}}},
		{"nested too deeply", strings.Repeat("[", 100), []fault{{"line 1", "nested more than 64 deep"}}},
		{"too large", `"` + strings.Repeat("x", 64<<20), []fault{{"file", "larger than 64 MiB"}}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.carol()
			names, err := r.directory.Import(t.Context(), strings.NewReader(tc.file))
			var refused *account.ImportError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, %v, want an ImportError", names, err)
			}
			for i := range max(len(refused.Entries), len(tc.want)) {
				switch {
				case i >= len(refused.Entries):
					t.Errorf("missing: %s: %s", tc.want[i].position, tc.want[i].says)
				case i >= len(tc.want):
					t.Errorf("too many: %v", refused.Entries[i])
				case refused.Entries[i].Position() != tc.want[i].position || !strings.Contains(refused.Entries[i].Error(), tc.want[i].says):
					t.Errorf("got %v, want %s: … %s", refused.Entries[i], tc.want[i].position, tc.want[i].says)
				}
			}
			if strings.Contains(err.Error(), hash) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message tells a secret: %v", err)
			}
			if list, err := r.directory.List(t.Context()); err != nil || len(list) != 1 {
				t.Errorf("afterwards there are %v, %v", list, err)
			}
		})
	}
}

func TestImportPassesOnTheReadersError(t *testing.T) {
	r := newRig(t)
	if _, err := r.directory.Import(t.Context(), iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func FuzzImport(f *testing.F) {
	f.Add(article)
	f.Add(`[{"username": "a", "attributes": {"b": [1, null, {}]}}]`)
	f.Add("[[[[{]")
	f.Add("{\"\": 1e999, \"a\\ud800\": -0}")
	f.Fuzz(func(t *testing.T, file string) {
		directory := account.New(emptyStore{}, account.Options{Hasher: cheapHasher()})
		names, err := directory.Import(t.Context(), strings.NewReader(file))
		var refused *account.ImportError
		if err != nil && (!errors.As(err, &refused) || len(names) > 0) {
			t.Errorf("got %v, %v", names, err)
		}
	})
}

// emptyStore has no accounts and keeps none.
type emptyStore struct{ account.Store }

func (emptyStore) InsertAccounts(context.Context, []account.Account, ...account.Event) error {
	return nil
}

func (emptyStore) AccountByIdentity(context.Context, string) (account.Account, error) {
	return account.Account{}, account.ErrNotFound
}
