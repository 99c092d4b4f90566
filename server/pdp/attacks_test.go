package pdp

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/policy"
)

// Texts that some parser takes for JSON, or for other JSON than it is.
func TestOtherPeoplesJSON(t *testing.T) {
	h := newAPI(t, nil)
	context := func(value string) string { return question(`"p"}}`, `"p"},"context":`+value+`}`) }
	for _, body := range []string{
		"\ufeff" + question(), question() + "\x00", question() + "}", question() + " // x", "/**/" + question(), question(`"`, `'`),
		context(`{"a":NaN}`), context(`{"a":Infinity}`), context(`{"a":+1}`), context(`{"a":01}`), context(`{"a":0x1}`), context(`{"a":.5}`), context(`{"a":1.}`),
		context(`{"a":1,}`), context(`{"a":[1,]}`), context(`{a:1}`), context(`{"a":undefined}`), context(`{"a":"` + "\n" + `"}`), context(`{"a":"\x41"}`),
		context(`{"a":[{"b":{"c":1,"c":2}}]}`), context(`{"a":1,"\u0061":2}`), context(`{"":1,"":2}`), context(`{"a":-1e400}`),
		context("null"), context("[]"), question(`"id":"a"`, `"id":"a","properties":null`),
		`[` + question() + `]`, `"` + question(`"`, `\"`) + `"`,
		strings.Repeat("[", 400_000), strings.Repeat(`{"a":`, 150_000), `{"evaluations":null}`,
	} {
		for _, path := range Paths()[:len(searches())+2] {
			if w := post(t, h, path, "application/json", body); w.Code != 400 {
				t.Errorf("%s %.80q: %d %s", path, body, w.Code, w.Body)
			}
		}
	}
}

func TestACompressedBodyIsRefused(t *testing.T) {
	h := newAPI(t, nil)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(question()))
	_ = z.Close()
	for _, body := range []string{zipped.String(), question()} {
		r := httptest.NewRequest(http.MethodPost, evaluationPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Encoding", "gzip")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 400 || !strings.Contains(w.Body.String(), "Content-Encoding") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// A body that never ends is refused once it is too large, and read no further.
func TestAnEndlessBody(t *testing.T) {
	s := httptest.NewServer(newAPI(t, nil))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := make(chan *http.Response, 1)
	go func() {
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Error(err)
		}
		answers <- answer
	}()
	_, _ = io.WriteString(c, "POST "+evaluationPath+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := "1000\r\n" + strings.Repeat(" ", 0x1000) + "\r\n"
	sent := 0
	for ; sent < 64<<20; sent += 0x1000 {
		if _, err := io.WriteString(c, chunk); err != nil {
			break // the server has closed
		}
	}
	if sent >= 64<<20 {
		t.Error("the server reads on")
	}
	if answer := <-answers; answer != nil && answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", answer.StatusCode)
	}
}

// What all items of a batch share is worth its size once, not a thousand times: else
// this took a minute, and was cut off at ten seconds.
func TestABatchAboutALargeContext(t *testing.T) {
	h := newAPI(t, nil)
	body := question(`"p"}}`, `"p"},"context":{"a":[`+strings.Repeat("1,", 400_000)+`1]},"evaluations":[{}`+strings.Repeat(`,{}`, maxEvaluations-1)+`]}`)
	w := post(t, h, evaluationsPath, "application/json", body)
	if w.Code != 200 || strings.Count(w.Body.String(), `{"decision":true}`) != maxEvaluations {
		t.Errorf("%d %.200s", w.Code, w.Body)
	}
}

// gone is a context that ends after so many looks at the clock, one of which is taken
// for each decision.
type gone struct {
	left int
	end  context.CancelFunc
}

func (g *gone) now() time.Time {
	if g.left--; g.left == 0 {
		g.end()
	}
	return time.Unix(0, 0)
}

func TestAClientThatGoesAwayIsAskedForNoMore(t *testing.T) {
	for path, body := range map[string]string{
		evaluationsPath:   question(`"p"}}`, `"p"},"evaluations":[{}`+strings.Repeat(",{}", 999)+`]}`),
		searchSubjectPath: question("user", "many"),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := &gone{end: cancel}
		h := doorTo(t, fixed{load(t, rules, policy.Options{Deadline: time.Minute, Now: g.now})}, nil)
		post(t, h, path, "application/json", body) // what is found out once has been by now
		g.left = 10
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %.100s", path, w.Code, w.Body)
		}
		if g.left < -3 {
			t.Errorf("%s: %d decisions after the client had gone", path, -g.left)
		}
	}
}

// Ids are text, whatever is in them, and a line of the log is one.
func TestStrangeIDs(t *testing.T) {
	ids := []string{"Zoë", "日本", "a\x00b", "a\nb", "a\r\nlevel=INFO msg=forged", `a"b`, "\u202eevil", "🚪", " ", "../..", strings.Repeat("x", 5000)}
	list, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	strange := fmt.Sprintf("package authzen\n\nids := %s\n\ndecision if input.subject.id in ids\n\nentities := {\"subjects\": {\"user\": ids}}\n", list)
	var log bytes.Buffer
	h := serveRules(t, strange, time.Minute, logTo(&log))
	for _, id := range ids {
		quoted, _ := json.Marshal(id)
		log.Reset()
		w := post(t, h, evaluationPath, "application/json", question(`"a"`, string(quoted)))
		if w.Code != 200 || w.Body.String() != "{\"decision\":true}\n" {
			t.Errorf("%q: %d %s", id, w.Code, w.Body)
		}
		if strings.Count(log.String(), "\n") != 1 || log.Len() > 1000 {
			t.Errorf("%q: logged %q", id, log.String())
		}
	}
	found, _ := follow(t, h, "user", 2)
	if len(found) != len(ids) {
		t.Errorf("found %q", found)
	}
}

// tokenOf is the token of the page that follows an answer.
func tokenOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var answer searchAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 || answer.Page == nil {
		t.Fatalf("%d %s %v", w.Code, w.Body, err)
	}
	return answer.Page.NextToken
}

func paged(limit int, token string) string {
	return question(`"p"}}`, fmt.Sprintf(`"p"},"page":{"limit":%d,"token":%q}}`, limit, token))
}

func TestTokensThatWereNotGivenOut(t *testing.T) {
	h := newAPI(t, nil)
	token := tokenOf(t, post(t, h, searchSubjectPath, "application/json", paged(1, "")))
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || token == "" {
		t.Fatal(token, err)
	}
	fromStart := `{"results":[{"type":"user","id":"a"}]`
	for n := range text {
		for _, forged := range [][]byte{text[:n], bytes.Join([][]byte{text[:n], text[n+1:]}, []byte{text[n] ^ 1}), bytes.Join([][]byte{text[:n], text[n+1:]}, []byte{0xff})} {
			w := post(t, h, searchSubjectPath, "application/json", paged(1, base64.RawURLEncoding.EncodeToString(forged)))
			if w.Code != 200 && w.Code != 400 || n < digestBytes && len(forged) > 0 && w.Code != 400 {
				t.Errorf("byte %d: %d %s", n, w.Code, w.Body)
			}
		}
	}
	for _, forged := range []string{token + "=", token + "\n", " " + token, token[:len(token)-1], strings.Repeat("A", 900_000)} {
		if w := post(t, h, searchSubjectPath, "application/json", paged(1, forged)); w.Code != 400 && !strings.HasPrefix(w.Body.String(), fromStart) {
			t.Errorf("%.50q: %d %s", forged, w.Code, w.Body)
		}
	}
	// Of another search: another question, or the same one elsewhere.
	other := strings.Replace(paged(1, token), "read", "write", 1)
	if w := post(t, h, searchSubjectPath, "application/json", other); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := post(t, h, searchResourcePath, "application/json", paged(1, token)); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A page that stopped among subjects who are denied does not say who they are.
func TestATokenNamesNobodyWhoWasDenied(t *testing.T) {
	h := newAPI(t, nil)
	w := post(t, h, searchSubjectPath, "application/json", question("user", "many")) // 10,005, all denied
	text, err := base64.RawURLEncoding.DecodeString(tokenOf(t, w))
	if err != nil || len(text) > digestBytes+policyBytes+2 {
		t.Errorf("%q, %v", text, err)
	}
	w = post(t, h, searchSubjectPath, "application/json", question("user", "many", `"p"}}`, fmt.Sprintf(`"p"},"page":{"token":%q}}`, tokenOf(t, w))))
	if w.Body.String() != "{\"results\":[],\"page\":{\"next_token\":\"\"}}\n" {
		t.Errorf("the rest: %s", w.Body)
	}
}

// A search whose policy changes between two pages goes on by the new one, and passes
// over nobody that both allow.
func TestAPolicyChangesBetweenPages(t *testing.T) {
	world := func(from int) string {
		return fmt.Sprintf(`package authzen

ids := [sprintf("%%05d", [i]) | some i in numbers.range(%d, 10020)]

decision if to_number(input.subject.id) %% 10003 == 0

entities := {"subjects": {"user": ids}}
`, from)
	}
	before, after := load(t, world(1), policy.Options{Deadline: time.Minute}), load(t, world(5), policy.Options{Deadline: time.Minute})
	live := &switching{snapshots: []*policy.Snapshot{before, after}}
	h := doorTo(t, live, nil)
	w := post(t, h, searchSubjectPath, "application/json", paged(5, ""))
	if !strings.HasPrefix(w.Body.String(), `{"results":[],`) {
		t.Fatalf("%s", w.Body)
	}
	// By now four of those that were settled are gone: a mere number would be wrong.
	w = post(t, h, searchSubjectPath, "application/json", paged(5, tokenOf(t, w)))
	for token := tokenOf(t, w); strings.HasPrefix(w.Body.String(), `{"results":[],`) && token != ""; token = tokenOf(t, w) {
		w = post(t, h, searchSubjectPath, "application/json", paged(5, token))
	}
	if !strings.HasPrefix(w.Body.String(), `{"results":[{"type":"user","id":"10003"}]`) {
		t.Errorf("%s", w.Body)
	}
}

// What was given before the policy changed is not given again.
func TestAPolicyChangesAfterResults(t *testing.T) {
	world := func(ids string) *policy.Snapshot {
		return load(t, "package authzen\n\ndecision := true\n\nentities := {\"subjects\": {\"user\": "+ids+"}}\n", policy.Options{})
	}
	h := doorTo(t, &switching{snapshots: []*policy.Snapshot{world(`["b", "c", "e", "f"]`), world(`["a", "c", "d", "f"]`)}}, nil)
	w := post(t, h, searchSubjectPath, "application/json", paged(2, ""))
	w = post(t, h, searchSubjectPath, "application/json", paged(2, tokenOf(t, w)))
	if got := strings.TrimSpace(w.Body.String()); got != `{"results":[{"type":"user","id":"d"},{"type":"user","id":"f"}],"page":{"next_token":""}}` {
		t.Error(got)
	}
}

// However many there are, a page is bounded, all pages together have everybody, and
// what is found out once is found out by any number of requests at a time.
func TestAHundredThousandSubjects(t *testing.T) {
	h := serveRules(t, `package authzen

decision if endswith(input.subject.id, "7")

entities := {"subjects": {"user": [id | some i in numbers.range(100000, 199999); id := format_int(i, 10)]}}
`, time.Minute, nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			w := post(t, h, searchSubjectPath, "application/json", question())
			if strings.Count(w.Body.String(), `"id"`) != maxResults || !strings.Contains(w.Body.String(), "next_token") {
				t.Errorf("%d %.100s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	ids, pages := follow(t, h, "user", 1000)
	if len(ids) != 10_000 || pages < 10 || ids[9999] != "199997" {
		t.Errorf("%d in %d pages", len(ids), pages)
	}
}

// The policy that let the caller pass decides all that it asks.
func TestOneRequestIsDecidedByOnePolicy(t *testing.T) {
	entities := "\nentities := {\"subjects\": {\"user\": [\"a\", \"b\"]}}\n"
	yes := load(t, "package authzen\n\ndecision := true\n"+entities, policy.Options{})
	no := load(t, "package authzen\n\ndecision := false\n"+entities, policy.Options{})
	for first, want := range map[*policy.Snapshot]string{yes: "true", no: "false"} {
		second := no
		if first == no {
			second = yes
		}
		live := &switching{snapshots: []*policy.Snapshot{first, second}}
		h := doorTo(t, live, nil)
		w := post(t, h, evaluationsPath, "application/json", question(`"p"}}`, `"p"},"evaluations":[{}`+strings.Repeat(",{}", 99)+`]}`))
		if strings.Count(w.Body.String(), want) != 100 {
			t.Errorf("want %s: %s", want, w.Body)
		}
	}
}
