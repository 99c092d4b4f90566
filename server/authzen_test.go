package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server"
	"github.com/stagedoor/stagedoor/server/demo"
)

// pdp is a server that decides by an example of examples/authzen, and a token to ask
// it with.
type pdp struct {
	*running
	token string
}

func startPDP(t *testing.T, example string, change func(*server.Config)) pdp {
	t.Helper()
	r := start(t, func(c *server.Config) {
		c.Policies = filepath.Join("..", "examples", "authzen", example)
		if change != nil {
			change(c)
		}
	})
	request, err := http.NewRequest(http.MethodPost, r.URL()+"/token",
		strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(demo.ServiceClient, demo.ClientSecret)
	a := r.do(request)
	token, _ := a.json(t)["access_token"].(string)
	if token == "" {
		t.Fatalf("no token: %d %s", a.StatusCode, a.body)
	}
	return pdp{r, token}
}

// ask posts a question and wants a status.
func (p pdp) ask(t *testing.T, path string, body []byte, status int) answer {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, p.URL()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-ID", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716")
	a := p.do(request)
	if a.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d: %s", path, body, a.StatusCode, status, a.body)
	}
	if got := a.Header.Get("X-Request-ID"); got != "bfe9eb29-ab87-4ca3-be83-a1d5d8305716" {
		t.Errorf("X-Request-ID %q", got)
	}
	if status == http.StatusOK && a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q", a.Header.Get("Content-Type"))
	}
	if status != http.StatusOK && a.json(t)["detail"] == "" {
		t.Errorf("a refusal without a message: %s", a.body)
	}
	return a
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "authzen", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func TestAuthZENCertification(t *testing.T) {
	p := startPDP(t, "certification", nil)
	var fixture struct {
		Cases []struct {
			ID, Title, Section string
			Cases              []struct {
				Label    string
				Request  json.RawMessage
				Status   int             `json:"expected_status"`
				Expected json.RawMessage `json:"expected_body_example"`
				Note     string          `json:"expected_note"`
			}
		}
	}
	readJSON(t, "certification-cases.json", &fixture)
	searched := map[string]bool{}
	for _, group := range fixture.Cases {
		for _, c := range group.Cases {
			t.Run(group.ID+" "+group.Title+" "+c.Label, func(t *testing.T) {
				path := "/access/v1/" + group.Section
				if group.Section == "search" {
					path = searchPath(group.ID + " " + group.Title + " " + c.Label)
					searched[path] = true
				}
				body := c.Request
				if bytes.Contains(body, []byte("<next_token")) {
					first := p.ask(t, path, bytes.Replace(body, []byte(`"token"`), []byte(`"limit": 1, "ignored"`), 1), 200).json(t)
					token := first["page"].(map[string]any)["next_token"].(string)
					if token == "" {
						t.Fatal("nothing follows the first page")
					}
					body = bytes.Replace(body, []byte("<next_token from previous response>"), []byte(token), 1)
				}
				got := p.ask(t, path, body, c.Status).json(t)
				checkExample(t, group.Section, got, c.Expected)
				if strings.Contains(c.Note, "`\"decision\": true`") && got["decision"] != true {
					t.Errorf("got %v", got)
				}
				if list, ok := got["evaluations"].([]any); group.Section == "evaluations" && c.Status == 200 && c.Expected == nil && (!ok || len(list) != 2) {
					t.Errorf("got %v", got)
				}
				if group.ID == "c-3-4-1" && got["evaluations"].([]any)[1].(map[string]any)["decision"] != false {
					t.Errorf("got %v", got)
				}
				if strings.Contains(c.Note, "at least `alice` and `bob`") {
					checkExample(t, "search", got, []byte(`{"results": [{"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}]}`))
				}
			})
		}
	}
	if len(searched) != 3 {
		t.Errorf("only %v were searched", searched)
	}
}

// searchPath is the endpoint of a case of the fixture, which names it in words only.
func searchPath(words string) string {
	words = strings.ToLower(words)
	for _, sought := range []string{"subject", "resource", "action"} {
		if strings.Contains(words, sought+" search") {
			return "/access/v1/search/" + sought
		}
	}
	return "/access/v1/search/subject" // the paging cases
}

// checkExample holds an answer to an example: a search has to find at least that, any
// other answer is exactly so.
func checkExample(t *testing.T, section string, got map[string]any, example json.RawMessage) {
	t.Helper()
	if len(example) == 0 || string(example) == "null" {
		return
	}
	var want map[string]any
	if err := json.Unmarshal(example, &want); err != nil {
		t.Fatal(err)
	}
	wanted, isSearch := want["results"].([]any)
	if section != "search" || !isSearch || len(wanted) == 0 {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		return
	}
	results, _ := got["results"].([]any)
	for _, one := range wanted {
		if !slices.ContainsFunc(results, func(r any) bool { return reflect.DeepEqual(r, one) }) {
			t.Errorf("got %v, want at least %v", results, one)
		}
	}
}

func TestAuthZENTodo(t *testing.T) {
	p := startPDP(t, "todo", nil)
	var fixture struct {
		Evaluation []struct {
			Request  json.RawMessage
			Expected bool
		}
		Evaluations []struct{ Request, Expected json.RawMessage }
	}
	readJSON(t, "todo-decisions.json", &fixture)
	if len(fixture.Evaluation) != 40 || len(fixture.Evaluations) != 3 {
		t.Fatalf("%d and %d cases", len(fixture.Evaluation), len(fixture.Evaluations))
	}
	for _, c := range fixture.Evaluation {
		want := map[string]any{"decision": c.Expected}
		if got := p.ask(t, "/access/v1/evaluation", c.Request, 200).json(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", c.Request, got, want)
		}
	}
	for _, c := range fixture.Evaluations {
		checkExample(t, "evaluations", p.ask(t, "/access/v1/evaluations", c.Request, 200).json(t), []byte(`{"evaluations": `+string(c.Expected)+`}`))
	}
}

// A search finds what an evaluation, asked about each entity by type and id, allows;
// in whatever pages it is asked for.
func TestAuthZENSearchesSayWhatEvaluationsSay(t *testing.T) {
	p := startPDP(t, "todo", nil)
	jerry := `"subject": {"type": "user", "id": "CiRmZDQ2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs"}`
	for action, want := range map[string]int{"can_read_todos": 6, "can_update_todo": 0} {
		question := `{` + jerry + `, "action": {"name": "` + action + `"}, "resource": {"type": "todo"}`
		whole := p.ask(t, "/access/v1/search/resource", []byte(question+`}`), 200).json(t)
		if _, paged := whole["page"]; paged || len(whole["results"].([]any)) != want {
			t.Fatalf("%s: %v", action, whole)
		}
		paged, token := []any{}, ""
		for {
			page := p.ask(t, "/access/v1/search/resource", []byte(question+`, "page": {"limit": 2, "token": "`+token+`"}}`), 200).json(t)
			paged = append(paged, page["results"].([]any)...)
			if token = page["page"].(map[string]any)["next_token"].(string); token == "" {
				break
			}
			other := strings.Replace(question, "can_", "may_", 1)
			p.ask(t, "/access/v1/search/resource", []byte(other+`, "page": {"token": "`+token+`"}}`), 400)
		}
		if !reflect.DeepEqual(paged, whole["results"]) {
			t.Errorf("%s: in pages %v, at once %v", action, paged, whole["results"])
		}
		for _, todo := range []string{"todo-1", "7240d0db-8ff0-41ec-98b2-34a096273b91", "7240d0db-8ff0-41ec-98b2-34a096273b95", "none"} {
			evaluated := p.ask(t, "/access/v1/evaluation", []byte(strings.Replace(question, `"type": "todo"`, `"type": "todo", "id": "`+todo+`"`, 1)+`}`), 200).json(t)
			found := slices.ContainsFunc(paged, func(r any) bool { return r.(map[string]any)["id"] == todo })
			if todo != "none" && evaluated["decision"] != found {
				t.Errorf("%s %s: evaluated %v, found %v", action, todo, evaluated, found)
			}
		}
	}
}

func TestAuthZENNeedsItsScopes(t *testing.T) {
	p := startPDP(t, "certification", nil)
	question := `{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`
	carol := p.running.token("carol", "secretcarol", "")
	john := p.running.token("johndoe", "secret", "")
	for _, path := range []string{"evaluation", "evaluations", "search/subject", "search/resource", "search/action"} {
		path = "/access/v1/" + path
		if a := p.call("POST", path, "", question); a.StatusCode != 401 {
			t.Errorf("%s without a token: %d", path, a.StatusCode)
		}
		if a := p.call("POST", path, carol, question); a.StatusCode != 403 || !strings.Contains(a.Header.Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("%s without the scope: %d %v", path, a.StatusCode, a.Header)
		}
		if a := p.call("POST", path, john, question); a.StatusCode != 200 {
			t.Errorf("%s as an administrator: %d %s", path, a.StatusCode, a.body)
		}
		if a := p.call("GET", path, john, ""); a.StatusCode != 405 {
			t.Errorf("GET %s: %d", path, a.StatusCode)
		}
	}
	p.ask(t, "/access/v1/evaluation", []byte(question), 200)
	p.admin(john, "PATCH", "/admin/v1/clients/"+demo.ServiceClient, `{"disabled":true}`, "If-Match", "*").want(t, 200)
	p.ask(t, "/access/v1/evaluation", []byte(question), 401)
	for _, line := range []string{"access decided", "access searched", "request denied"} {
		if !strings.Contains(p.log.since(0), line) {
			t.Errorf("the log never said %q", line)
		}
	}
}

func TestAuthZENMetadata(t *testing.T) {
	s := start(t, func(c *server.Config) { c.Issuer = "https://pdp.example.com/base" })
	for _, path := range []string{
		"/.well-known/authzen-configuration", "/.well-known/authzen-configuration/base", "/base/.well-known/authzen-configuration",
	} {
		a := s.call("GET", path, "", "")
		if a.StatusCode != 200 {
			t.Fatalf("%s: %d %s", path, a.StatusCode, a.body)
		}
		got := a.json(t)
		for name, want := range map[string]string{
			"policy_decision_point":       "https://pdp.example.com/base",
			"access_evaluation_endpoint":  "https://pdp.example.com/base/access/v1/evaluation",
			"access_evaluations_endpoint": "https://pdp.example.com/base/access/v1/evaluations",
			"search_subject_endpoint":     "https://pdp.example.com/base/access/v1/search/subject",
			"search_resource_endpoint":    "https://pdp.example.com/base/access/v1/search/resource",
			"search_action_endpoint":      "https://pdp.example.com/base/access/v1/search/action",
		} {
			if got[name] != want {
				t.Errorf("%s: %s is %v", path, name, got[name])
			}
		}
	}
	if a := s.call("POST", "/base/access/v1/evaluation", "", "{}"); a.StatusCode != 401 {
		t.Errorf("below the issuer's path: %d", a.StatusCode)
	}
}

// The examples hold the shipped policies beside their own package, since a directory
// of policies stands for all of them.
func TestAuthZENExamplesHoldTheShippedPolicies(t *testing.T) {
	examples, err := filepath.Glob(filepath.Join("..", "examples", "authzen", "*"))
	if err != nil || len(examples) != 5 {
		t.Fatalf("%v, %v", examples, err)
	}
	for _, example := range examples {
		for _, name := range []string{"authz/authz.rego", "authz/reasons.rego", "token/token.rego", "token/reasons.rego", "rbac/rbac.rego", "authz/scopes.rego"} {
			want, err := os.ReadFile(filepath.Join("..", "policies", name))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(example, name)
			if got, err := os.ReadFile(file); err != nil || string(got) != string(want) {
				t.Errorf("%s is not policies/%s (%v): run `make examples`", file, name, err)
			}
		}
	}
}
