package admin_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/token"
)

// item is what one of any list is told by.
type item struct {
	ID       string
	ClientID string `json:"client_id"`
	Username string
	Action   string
}

// all follows a list to its end, and is told after each page.
func (r *rig) all(token, target string, after func(pages int)) []item {
	r.t.Helper()
	var items []item
	for pages := 1; target != ""; pages++ {
		a := r.call(token, "GET", target, "").want(200)
		var page struct {
			Items []item
			Next  string
		}
		a.into(&page)
		items = append(items, page.Items...)
		link := a.Header().Get("Link")
		if a.Header().Get("Cache-Control") != "no-store" || (page.Next == "") != (link == "") || pages > 200 {
			r.t.Fatalf("%s: page %d has the cursor %q, and the link %q", target, pages, page.Next, link)
		}
		if target = ""; link != "" {
			uri, rest, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
			parsed, err := url.Parse(uri)
			if err != nil || rest != `; rel="next"` {
				r.t.Fatalf("the link is %q", link)
			}
			target = parsed.String()
		}
		if after != nil {
			after(pages)
		}
	}
	return items
}

// TestPagesWhileOthersAdd follows lists to their ends while others add to them: what
// was there at the start comes once, and in order.
func TestPagesWhileOthersAdd(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	const n, more = 23, 40
	for i := range n {
		r.addAccount(root, fmt.Sprintf("first%d", i))
		r.addClient(root, fmt.Sprintf("first%d", i))
	}
	for _, list := range []struct {
		name, target string
		add          func(i int)
		key          func(item) string
		descends     bool
		among        []string
	}{
		{"accounts", "/admin/v1/users?limit=3", func(i int) { r.addAccount(root, fmt.Sprintf("late%d", i)) }, func(i item) string { return i.ID }, false, nil},
		{"clients", "/admin/v1/clients?limit=3", func(i int) { r.addClient(root, fmt.Sprintf("g-late%d", i)) }, func(i item) string { return i.ClientID }, false, nil},
		{"events", "/admin/v1/events?limit=3", func(i int) { r.addAccount(root, fmt.Sprintf("latest%d", i)) }, func(i item) string { return i.ID }, true, nil},
	} {
		t.Run(list.name, func(t *testing.T) {
			var before []string
			for _, i := range r.all(root, strings.Replace(list.target, "limit=3", "limit=500", 1), nil) {
				before = append(before, list.key(i))
			}
			var others sync.WaitGroup
			turn := make(chan int, more)
			for range 2 {
				others.Go(func() {
					for i := range turn {
						list.add(i)
					}
				})
			}
			sent := 0
			found := r.all(root, list.target, func(int) {
				for range 4 {
					if sent < more {
						turn <- sent
						sent++
					}
				}
			})
			close(turn)
			others.Wait()
			var keys []string
			for _, i := range found {
				keys = append(keys, list.key(i))
			}
			counts := map[string]int{}
			for _, key := range keys {
				if counts[key]++; counts[key] > 1 {
					t.Errorf("%s comes twice", key)
				}
			}
			for _, key := range before {
				if counts[key] != 1 {
					t.Errorf("%s, which was there before, comes %d times", key, counts[key])
				}
			}
			sorted := slices.Sorted(slices.Values(keys))
			if list.descends {
				slices.Reverse(sorted)
			}
			if list.name != "events" && !slices.Equal(keys, sorted) {
				t.Errorf("the order is %v", keys)
			}
		})
	}
}

func TestFilters(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	for _, body := range []string{
		`{"username":"anne","full_name":"Änne Groß","email":"anne@example.com","roles":["a&b"],"password":"x"}`,
		`{"username":"ömer","full_name":"ÖMER O'Neill 100%","roles":["clerk","a"],"disabled":true,"password":"x"}`,
		`{"username":"Zoe_1","roles":["clerk"],"password":"x"}`,
	} {
		r.call(root, "POST", "/admin/v1/users", body).want(201)
	}
	for _, tt := range []struct{ name, query, want string }{
		{"none", "", "anne root Zoe_1 ömer"},
		{"a role", "role=clerk", "Zoe_1 ömer"},
		{"a part of a role", "role=cler", ""},
		{"a role that JSON escapes", "role=" + url.QueryEscape("a&b"), "anne"},
		{"a role that is a part of another", "role=a", "ömer"},
		{"disabled", "disabled=true", "ömer"},
		{"not disabled", "disabled=false", "anne root Zoe_1"},
		{"a part of a username", "q=zoe", "Zoe_1"},
		{"a part of an address", "q=EXAMPLE.com", "anne"},
		{"a wildcard is a character", "q=" + url.QueryEscape("100%"), "ömer"},
		{"another wildcard", "q=_", "Zoe_1"},
		{"a quote", "q=" + url.QueryEscape("o'neill"), "ömer"},
		{"beyond ASCII, as it is written", "q=" + url.QueryEscape("Änne"), "anne"},
		{"beyond ASCII, in lower case", "q=" + url.QueryEscape("ömer"), "ömer"},
		{"decomposed", "q=" + url.QueryEscape("A\u0308nne"), "anne"},
		{"across two members", "q=" + url.QueryEscape("anne anne@"), ""},
		{"all together", "role=clerk&disabled=true&q=omer", ""},
		{"all that fit", "role=clerk&disabled=true&q=neill&limit=1", "ömer"},
		{"a cursor of nobody's", "after=nobody", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var names []string
			for _, i := range r.all(root, "/admin/v1/users?"+tt.query, nil) {
				names = append(names, i.Username)
			}
			slices.Sort(names)
			want := strings.Fields(tt.want)
			slices.Sort(want)
			if !slices.Equal(names, want) {
				t.Errorf("found %v, want %v", names, want)
			}
		})
	}
}

func TestEventFilters(t *testing.T) {
	r := open(t, token.KeyringOptions{})
	root := r.rooted()
	r.pass(time.Hour)
	since := r.clock().Format(time.RFC3339)
	dora := strings.TrimPrefix(r.addAccount(root, "dora"), "/admin/v1/users/")
	r.pass(time.Hour)
	later := r.clock().Format(time.RFC3339)
	r.addClient(root, "reports")
	r.pass(time.Minute)
	failed := account.Event{Action: account.LoginFailed, Outcome: account.Failure, AccountID: dora}
	if err := r.events.Record(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, query, want string }{
		{"none", "since=" + since, "login.failed client.created account.created"},
		{"an action", "action=client.created", "client.created"},
		{"two actions", "action=client.created&action=login.failed", "login.failed client.created"},
		{"an account", "account=" + dora, "login.failed account.created"},
		{"a client", "client=reports", "client.created"},
		{"failures", "outcome=failure", "login.failed"},
		{"since", "since=" + later, "login.failed client.created"},
		{"until", "since=" + since + "&until=" + later, "account.created"},
		{"a time with another zone", "action=account.created&since=" + url.QueryEscape("2026-11-23T14:00:00+01:00"), "account.created"},
		{"nothing between", "since=" + later + "&until=" + later, ""},
		{"a page for each", "limit=1&account=" + dora, "login.failed account.created"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var actions []string
			for _, i := range r.all(root, "/admin/v1/events?"+tt.query, nil) {
				actions = append(actions, i.Action)
			}
			if got := strings.Join(actions, " "); got != tt.want {
				t.Errorf("found %s, want %s", got, tt.want)
			}
		})
	}
}
