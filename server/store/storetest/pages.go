package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
)

func accountsAreListedByPage(t *testing.T, open Open) {
	store := opened(t, open)
	var everybody []account.Account
	for i, a := range []account.Account{
		{Username: "anne", Email: "Anne@Example.com", FullName: "Änne Groß", Roles: []string{"a&b"}},
		{Username: "ömer", FullName: "ÖMER O'Neill 100%", Roles: []string{"a", "clerk"}, Disabled: true},
		{Username: "Zoe_1", Roles: []string{"clerk"}},
		{Username: "plain"},
	} {
		a.ID, a.CreatedAt, a.UpdatedAt = person(9-i).ID, noon, noon // the last one first
		everybody = append(everybody, a)
	}
	must(t, store.InsertAccounts(t.Context(), everybody))
	yes, no := true, false
	for _, tt := range []struct {
		name  string
		query account.Query
		want  string
	}{
		{"all, by id", account.Query{}, "[plain Zoe_1 ömer anne]"},
		{"the first ones", account.Query{Limit: 2}, "[plain Zoe_1]"},
		{"those after", account.Query{Limit: 2, After: person(7).ID}, "[ömer anne]"},
		{"after the last", account.Query{After: person(9).ID}, "[]"},
		{"a role", account.Query{Role: "clerk"}, "[Zoe_1 ömer]"},
		{"a role that is a part of another", account.Query{Role: "a"}, "[ömer]"},
		{"a role that JSON escapes", account.Query{Role: "a&b"}, "[anne]"},
		{"no role's name", account.Query{Role: `a","clerk`}, "[]"},
		{"disabled", account.Query{Disabled: &yes}, "[ömer]"},
		{"not disabled", account.Query{Disabled: &no}, "[plain Zoe_1 anne]"},
		{"a part of a username", account.Query{Text: "ZOE"}, "[Zoe_1]"},
		{"a part of an address", account.Query{Text: "example.COM"}, "[anne]"},
		{"a part of a full name", account.Query{Text: "o'neill"}, "[ömer]"},
		{"beyond ASCII", account.Query{Text: "Änne"}, "[anne]"},
		{"a part of two members", account.Query{Text: "anne anne"}, "[]"},
		{"no wildcard", account.Query{Text: "%"}, "[ömer]"},
		{"no wildcard either", account.Query{Text: "_"}, "[Zoe_1]"},
		{"all of it", account.Query{Role: "clerk", Disabled: &no, Text: "zoe", After: person(6).ID, Limit: 1}, "[Zoe_1]"},
	} {
		accounts, err := store.AccountsPage(t.Context(), tt.query)
		must(t, err)
		var names []string
		for _, a := range accounts {
			names = append(names, a.Username)
		}
		if got := fmt.Sprint(names); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	whole, err := store.AccountsPage(t.Context(), account.Query{Text: "anne"})
	must(t, err)
	if len(whole) != 1 || !slices.Equal(whole[0].Roles, []string{"a&b"}) || whole[0].FullName != "Änne Groß" || !whole[0].CreatedAt.Equal(noon) {
		t.Errorf("anne came back as %#v", whole)
	}
}
