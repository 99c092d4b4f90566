package pdp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
)

// The policy of the tests: a user does what their word list says.
const rules = `package authzen

decision := {"allow": true, "context": {"advice": "log"}} if input.context.advice

else := {"allow": true} if _may

else := {"allow": false, "reasons": [{"code": "no", "message": "not you"}]}

_may if input.action.name in data.words[input.subject.id]

_may if input.context.anything

entities := {
	"subjects": {"user": ["", "a", "b", "c"], "many": [id | some i in numbers.range(10000, 20004); id := format_int(i, 10)]},
	"resources": {"page": ["p"]},
	"actions": ["read", "write"],
}
`

// loops is for the action loop, which takes longer than any deadline.
const loops = `
_may if {
	input.action.name == "loop"
	some i in numbers.range(1, 3000)
	some j in numbers.range(1, 3000)
	i * j == -1
}
`

type fixed struct{ *policy.Snapshot }

func (f fixed) Current() *policy.Snapshot { return f.Snapshot }

// switching is a policy that changes each time somebody looks.
type switching struct {
	snapshots []*policy.Snapshot // the last one stays
	looks     int
}

func (s *switching) Current() *policy.Snapshot {
	live := s.snapshots[min(s.looks, len(s.snapshots)-1)]
	s.looks++
	return live
}

// logTo makes the endpoints write their log there, one line for each record.
func logTo(w io.Writer) func(*Options) {
	return func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// newAPI serves the endpoints behind a gate that lets everybody pass.
func newAPI(t testing.TB, change func(*Options)) http.Handler {
	t.Helper()
	return serveRules(t, rules, time.Minute, change)
}

func serveRules(t testing.TB, rules string, deadline time.Duration, change func(*Options)) http.Handler {
	t.Helper()
	return doorTo(t, fixed{load(t, rules, policy.Options{Deadline: deadline})}, change)
}

// load makes a policy of the rules of package authzen.
func load(t testing.TB, rules string, o policy.Options) *policy.Snapshot {
	t.Helper()
	source := policy.FS(fstest.MapFS{
		"authzen/a.rego": {Data: []byte(rules)},
		"authz/a.rego":   {Data: []byte("package authz\n\ndecision := {\"allow\": true}\n")},
	}, fstest.MapFS{"words.yaml": {Data: []byte("words: {a: [read, write], b: [read], c: []}\n")}})
	snapshot, err := policy.Load(context.Background(), source, o)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// doorTo serves the endpoints behind a gate that decides by the live policy.
func doorTo(t testing.TB, live interface{ Current() *policy.Snapshot }, change func(*Options)) http.Handler {
	t.Helper()
	o := Options{URL: "https://pdp.example.com/"}
	if change != nil {
		change(&o)
	}
	return doorOf(t, live, New(o))
}

func doorOf(t testing.TB, live interface{ Current() *policy.Snapshot }, a *API) http.Handler {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	a.Register(router)
	door, err := gate.New(gate.Options{Policy: live})
	if err != nil {
		t.Fatal(err)
	}
	return door.Wrap(router)
}

func post(t testing.TB, h http.Handler, path, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// question is a whole one, with some text replaced.
func question(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(
		`{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"page","id":"p"}}`)
}

func TestAnswers(t *testing.T) {
	h := newAPI(t, nil)
	looping := serveRules(t, rules+loops, 10*time.Millisecond, nil)
	batch := func(rest string) string { return question(`"p"}}`, `"p"},`+rest+`}`) }
	item := func(action string) string { return `{"action":{"name":"` + action + `"}}` }
	for _, test := range []struct {
		name, path, body string
		status           int
		want             string // of a 200 the body, else a part of the detail
	}{
		{"permit", evaluationPath, question(), 200, `{"decision":true}`},
		{"deny", evaluationPath, question("read", "burn"), 200, `{"decision":false}`},
		{"unknown members", evaluationPath, question(`"a"}`, `"a","more":1},"x":[]`), 200, `{"decision":true}`},
		{"reasons", evaluationPath, question("read", "burn", `"p"}}`, `"p"},"context":{"reasons":true}}`), 200,
			`{"decision":false,"context":{"reasons":[{"code":"no","message":"not you"}]}}`},
		{"no reasons", evaluationPath, question("read", "burn", `"p"}}`, `"p"},"context":{"reasons":"true"}}`), 200, `{"decision":false}`},
		{"the policy's context", evaluationPath, question(`"p"}}`, `"p"},"context":{"advice":true}}`), 200, `{"decision":true,"context":{"advice":"log"}}`},
		{"names in another case are others", evaluationPath, question(`"subject"`, `"Subject"`), 400, "subject is missing"},
		{"deadline", evaluationPath, question("read", "loop"), 503, "could not be decided"},

		{"empty", evaluationPath, "", 400, "JSON"},
		{"not JSON", evaluationPath, "{", 400, "JSON"},
		{"more than one", evaluationPath, question() + question(), 400, "JSON"},
		{"no object", evaluationPath, "[]", 400, "object"},
		{"null", evaluationPath, "null", 400, "object"},
		{"member twice", evaluationPath, question(`"id":"a"`, `"id":"a","id":"b"`), 400, "twice"},
		{"member twice, escaped", evaluationPath, question(`"id":"a"`, `"id":"a","\u0069d":"b"`), 400, "twice"},
		{"member twice, unknown", evaluationPath, question(`"id":"a"`, `"id":"a","x":1,"x":1`), 400, "twice"},
		{"bad UTF-8", evaluationPath, question(`"id":"a"`, "\"id\":\"\xff\""), 400, "UTF-8"},
		{"lone surrogate", evaluationPath, question(`"id":"a"`, `"id":"\ud800"`), 400, "UTF-8"},
		{"too deep", evaluationPath, question(`"p"}}`, `"p"},"context":{"a":`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+`}}`), 400, "deeper"},
		{"a large number", evaluationPath, question(`"p"}}`, `"p"},"context":{"a":[1e99999]}}`), 400, "too large"},
		{"numbers", evaluationPath, question(`"p"}}`, `"p"},"context":{"a":[-0.5e+3,1E2,true,null,12345678901234567890]}}`), 200, `{"decision":true}`},
		{"a long number", evaluationPath, question(`"p"}}`, `"p"},"context":{"a":`+strings.Repeat("9", 65)+`}}`), 400, "number"},
		{"no subject", evaluationPath, `{}`, 400, "subject is missing"},
		{"no id", evaluationPath, question(`,"id":"p"`, ""), 400, "resource.id is missing"},
		{"no type", evaluationPath, question(`"type":"user",`, ""), 400, "subject.type is missing"},
		{"no name", evaluationPath, question(`"name":"read"`, ""), 400, "action.name is missing"},
		{"subject null", evaluationPath, question(`{"type":"user","id":"a"}`, "null"), 400, "subject is null"},
		{"subject is a string", evaluationPath, question(`{"type":"user","id":"a"}`, `"a"`), 400, "subject is a string"},
		{"id is a number", evaluationPath, question(`"id":"a"`, `"id":1`), 400, "subject.id is a number"},
		{"properties are an array", evaluationPath, question(`"id":"a"`, `"id":"a","properties":[]`), 400, "subject.properties is an array"},
		{"context is true", evaluationPath, question(`"p"}}`, `"p"},"context":true}`), 400, "context is a boolean"},

		{"batch of none", evaluationsPath, batch(`"evaluations":[]`), 200, `{"decision":true}`},
		{"batch without", evaluationsPath, question("read", "burn"), 200, `{"decision":false}`},
		{"batch without, incomplete", evaluationsPath, `{"evaluations":[]}`, 400, "subject is missing"},
		{"order and length", evaluationsPath, batch(`"evaluations":[` + item("burn") + `,{},` + item("write") + `]`), 200,
			`{"evaluations":[{"decision":false},{"decision":true},{"decision":true}]}`},
		{"defaults are whole", evaluationsPath, batch(`"evaluations":[{"subject":{"type":"user"}},{"subject":{"type":"user","id":"c"}}]`), 200,
			`{"evaluations":[{"decision":false},{"decision":false}]}`},
		{"context is whole", evaluationsPath, batch(`"context":{"anything":true},"evaluations":[` + item("burn") + `,{"action":{"name":"burn"},"context":{}}]`), 200,
			`{"evaluations":[{"decision":true},{"decision":false}]}`},
		{"first deny", evaluationsPath, batch(`"options":{"evaluations_semantic":"deny_on_first_deny"},"evaluations":[{},` + item("burn") + `,{}]`), 200,
			`{"evaluations":[{"decision":true},{"decision":false}]}`},
		{"first permit", evaluationsPath, batch(`"options":{"evaluations_semantic":"permit_on_first_permit"},"evaluations":[` + item("burn") + `,{},{}]`), 200,
			`{"evaluations":[{"decision":false},{"decision":true}]}`},
		{"an item lacks something", evaluationsPath, `{"context":{"reasons":true},"evaluations":[` + question() + `,{}]}`, 200,
			`{"evaluations":[{"decision":true},{"decision":false,"context":{"reasons":[{"code":"incomplete","message":"subject is missing"}]}}]}`},
		{"unknown semantic", evaluationsPath, batch(`"options":{"evaluations_semantic":"all"},"evaluations":[{}]`), 400, "evaluations_semantic"},
		{"semantic is null", evaluationsPath, batch(`"options":{"evaluations_semantic":null},"evaluations":[{}]`), 400, "evaluations_semantic"},
		{"options are a string", evaluationsPath, batch(`"options":"x"`), 400, "options"},
		{"evaluations are an object", evaluationsPath, batch(`"evaluations":{}`), 400, "evaluations is an object"},
		{"an item is a string", evaluationsPath, batch(`"evaluations":["x"]`), 400, "evaluations[0]"},
		{"an item has another type", evaluationsPath, batch(`"evaluations":[{},{"action":{"name":1}}]`), 400, "evaluations[1].action.name"},
		{"a default lacks something", evaluationsPath, `{"subject":{"type":"user"},"evaluations":[` + question() + `]}`, 400, "subject.id"},
		{"too many", evaluationsPath, batch(`"evaluations":[{}` + strings.Repeat(",{}", 1000) + `]`), 400, "1001"},
		{"one fails", evaluationsPath, batch(`"evaluations":[` + item("loop") + `,{}]`), 503, "could not be decided"},

		{"subjects", searchSubjectPath, question(`"id":"a"`, `"id":1`), 200, `{"results":[{"type":"user","id":"a"},{"type":"user","id":"b"}]}`},
		{"what is said of those sought is not heard", searchSubjectPath, question(`"id":"a"`, `"properties":{"x":1}`, "read", "write"), 200, `{"results":[{"type":"user","id":"a"}]}`},
		{"unknown type", searchSubjectPath, question("user", "spaceship"), 200, `{"results":[]}`},
		{"resources", searchResourcePath, question(`,"id":"p"`, ""), 200, `{"results":[{"type":"page","id":"p"}]}`},
		{"actions", searchActionPath, question(`"action":{"name":"read"},`, ""), 200, `{"results":[{"name":"read"},{"name":"write"}]}`},
		{"actions, one named", searchActionPath, question(`{"name":"read"}`, `7`), 200, `{"results":[{"name":"read"},{"name":"write"}]}`},
		{"actions of nobody known", searchActionPath, question(`"a"`, `"z"`), 200, `{"results":[]}`},
		{"search without a type", searchSubjectPath, question(`"type":"user",`, ""), 400, "subject.type"},
		{"search without an action", searchSubjectPath, question(`"action":{"name":"read"},`, ""), 400, "action is missing"},
		{"search without an id", searchResourcePath, question(`,"id":"a"`, ""), 400, "subject.id"},
		{"search without a resource", searchActionPath, question(`,"resource":{"type":"page","id":"p"}`, ""), 400, "resource is missing"},
		{"page", searchSubjectPath, batch(`"page":{}`), 200, `{"results":[{"type":"user","id":"a"},{"type":"user","id":"b"}],"page":{"next_token":""}}`},
		{"a limit that suffices", searchSubjectPath, batch(`"page":{"limit":2,"token":""}`), 200, `{"results":[{"type":"user","id":"a"},{"type":"user","id":"b"}],"page":{"next_token":""}}`},
		{"page is null", searchSubjectPath, batch(`"page":null`), 400, "page is null"},
		{"limit is negative", searchSubjectPath, batch(`"page":{"limit":-1}`), 400, "page.limit"},
		{"limit is a string", searchSubjectPath, batch(`"page":{"limit":"1"}`), 400, "page.limit"},
		{"limit is no whole number", searchSubjectPath, batch(`"page":{"limit":1.5}`), 400, "page.limit"},
		{"limit is huge", searchSubjectPath, batch(`"page":{"limit":9223372036854775807}`), 200, `{"results":[{"type":"user","id":"a"},{"type":"user","id":"b"}],"page":{"next_token":""}}`},
		{"token is a number", searchSubjectPath, batch(`"page":{"token":1}`), 400, "page.token"},
		{"token of nobody", searchSubjectPath, batch(`"page":{"token":"AAAA"}`), 400, "page.token"},
		{"token is no base64", searchSubjectPath, batch(`"page":{"token":"?"}`), 400, "page.token"},
		{"token of another search", searchSubjectPath, batch(`"page":{"token":"AAAAAAAAAAAAAAAAAAAAAAAAAAA"}`), 400, "another search"},
	} {
		t.Run(test.name, func(t *testing.T) {
			door := h
			if test.status == 503 {
				door = looping
			}
			w := post(t, door, test.path, "application/json", test.body)
			if w.Code != test.status {
				t.Fatalf("%d, want %d: %s", w.Code, test.status, w.Body)
			}
			if test.status == 200 && strings.TrimSpace(w.Body.String()) != test.want {
				t.Errorf("got  %swant %s", w.Body, test.want)
			}
			if test.status != 200 {
				var p struct{ Detail string }
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || !strings.Contains(p.Detail, test.want) {
					t.Errorf("detail %q, %v; want %q", p.Detail, err, test.want)
				}
			}
			if (w.Header().Get("Retry-After") != "") != (test.status == 503) {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

func TestContentType(t *testing.T) {
	h := newAPI(t, nil)
	for contentType, status := range map[string]int{
		"application/json": 200, "Application/JSON; charset=utf-8": 200,
		"": 400, "text/plain": 400, "application/x-www-form-urlencoded": 400, "application/json, text/plain": 400, "application/problem+json": 400,
	} {
		if w := post(t, h, evaluationPath, contentType, question()); w.Code != status {
			t.Errorf("%q: %d, want %d", contentType, w.Code, status)
		}
	}
	if w := post(t, h, evaluationPath, "application/json", strings.Repeat(" ", maxBodyBytes+1)); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", w.Code)
	}
}

// follow asks for page after page.
func follow(t *testing.T, h http.Handler, subjectType string, limit int) (ids []string, pages int) {
	t.Helper()
	token := ""
	for {
		w := post(t, h, searchSubjectPath, "application/json", question("user", subjectType, `"p"}}`,
			fmt.Sprintf(`"p"},"context":{"anything":true},"page":{"limit":%d,"token":%q}}`, limit, token)))
		var answer searchAnswer
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
			t.Fatalf("%d %s %v", w.Code, w.Body, err)
		}
		if len(answer.Results) > limit {
			t.Fatalf("%d results", len(answer.Results))
		}
		for _, r := range answer.Results {
			ids = append(ids, r.ID)
		}
		pages++
		if token = answer.Page.NextToken; token == "" || pages > 100 || limit == 0 {
			return ids, pages
		}
	}
}

func TestPages(t *testing.T) {
	h := newAPI(t, nil)
	for limit, want := range map[int]int{1: 3, 2: 2, 3: 1, 4: 1, 0: 1} {
		ids, pages := follow(t, h, "user", limit)
		if pages != want || limit > 0 && strings.Join(ids, " ") != "a b c" {
			t.Errorf("limit %d: %v in %d pages", limit, ids, pages)
		}
	}
	ids, pages := follow(t, h, "many", 5000) // 1000 at most
	if len(ids) != 10005 || pages != 11 || ids[10004] != "20004" {
		t.Errorf("%d results in %d pages", len(ids), pages)
	}
	// 10,000 decisions at most: none of these is a permit.
	w := post(t, h, searchSubjectPath, "application/json", question("user", "many"))
	if !strings.HasPrefix(w.Body.String(), `{"results":[],"page":{"next_token":"`) || strings.Contains(w.Body.String(), `""`) {
		t.Errorf("%s", w.Body)
	}
}

// A page ends with its time, and still gets on.
func TestASearchIsBoundedInTime(t *testing.T) {
	now := time.Unix(0, 0)
	h := newAPI(t, func(o *Options) {
		o.Now = func() time.Time { now = now.Add(searchTime + 1); return now }
	})
	ids, pages := follow(t, h, "user", 10)
	if pages != 3 || strings.Join(ids, " ") != "a b c" {
		t.Errorf("%v in %d pages", ids, pages)
	}
}

func TestOutsideOfAGate(t *testing.T) {
	router := gin.New()
	New(Options{}).Register(router)
	if w := post(t, router, evaluationPath, "application/json", question()); w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Whatever a stranger sends: an answer, or 400, and both are JSON.
func FuzzRequest(f *testing.F) {
	h := newAPI(f, nil)
	for _, body := range []string{
		question(), question("read", "burn"), `{}`, `[]`, ``, `{"evaluations":[{},1]}`, question(`"p"}}`, `"p"},"page":{"limit":1,"token":"AAAA"}}`),
		question(`"p"}}`, `"p"},"evaluations":[{"action":{"name":"x"}}],"options":{"evaluations_semantic":"deny_on_first_deny"}}`),
		question(`"p"}}`, `"p"},"context":{"reasons":true,"n":1e99999}}`),
	} {
		for i := range len(searches()) + 2 {
			f.Add(i, body)
		}
	}
	f.Fuzz(func(t *testing.T, i int, body string) {
		paths := Paths()[:len(searches())+2] // those that are asked with a body
		w := post(t, h, paths[uint(i)%uint(len(paths))], "application/json", body)
		if w.Code != 200 && w.Code != 400 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("not JSON: %s", w.Body)
		}
	})
}

// A batch is one line of the log, whatever its length; what each item was decided is
// there for those who look closer.
func TestTheLogOfABatch(t *testing.T) {
	var log bytes.Buffer
	h := newAPI(t, logTo(&log))
	post(t, h, evaluationsPath, "application/json", question(`"p"}}`, `"p"},"evaluations":[{},{"action":{"name":"burn"}},{"subject":{}}]}`))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, want := range []string{
		"level=DEBUG msg=\"access decided\" allow=true",
		"level=DEBUG msg=\"access decided\" allow=false",
		"level=INFO msg=\"access batch decided\" asked=3 allowed=1 denied=2 asked_by=\"\"",
	} {
		if len(lines) != 3 || !strings.Contains(lines[i], want) {
			t.Fatalf("want %s in line %d of\n%s", want, i, log.String())
		}
	}
	log.Reset()
	post(t, h, evaluationPath, "application/json", question())
	if !strings.Contains(log.String(), "level=INFO msg=\"access decided\" allow=true subject_type=user subject=a") {
		t.Errorf("%s", log.String())
	}
}

func TestACallerOfAnotherIssuerIsLoggedWithIt(t *testing.T) {
	c := &call{snapshot: load(t, rules, policy.Options{}), passage: &gate.Passage{Request: &authz.Request{
		Subject: &authz.Subject{Kind: authz.KindExternal, Issuer: "https://other.example.com", ID: "carol"},
	}}}
	if got := c.from().String(); !strings.Contains(got, "asked_by=https://other.example.com carol ") {
		t.Error(got)
	}
}
