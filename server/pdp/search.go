package pdp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/server/authz"
)

const (
	// maxResults bounds a page, whatever the request's limit.
	maxResults = 1000
	// maxAsked bounds the decisions that one page takes, searchTime how long. A page
	// that ends by one of them may have few results, or none, and goes on.
	maxAsked   = 10_000
	searchTime = 2 * time.Second
	// digestBytes is how much of the search's digest is in a page's token.
	digestBytes = 16
)

// searchKind is one of the three searches.
type searchKind struct {
	path, sought string
	// among are the names to look through, sorted.
	among func(e *authz.Entities, q *authz.AccessRequest) []string
	// put makes the question one about a name.
	put func(q *authz.AccessRequest, name string)
	// show is a name as a result.
	show func(q *authz.AccessRequest, name string) result
}

// result is one of what was found: an entity or an action.
type result struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

func searches() []searchKind {
	return []searchKind{
		{
			path: searchSubjectPath, sought: "subject",
			among: func(e *authz.Entities, q *authz.AccessRequest) []string { return e.Subjects[q.Subject.Type] },
			put:   func(q *authz.AccessRequest, id string) { q.Subject.ID = id },
			show:  func(q *authz.AccessRequest, id string) result { return result{Type: q.Subject.Type, ID: id} },
		},
		{
			path: searchResourcePath, sought: "resource",
			among: func(e *authz.Entities, q *authz.AccessRequest) []string { return e.Resources[q.Resource.Type] },
			put:   func(q *authz.AccessRequest, id string) { q.Resource.ID = id },
			show:  func(q *authz.AccessRequest, id string) result { return result{Type: q.Resource.Type, ID: id} },
		},
		{
			path: searchActionPath, sought: "action",
			among: func(e *authz.Entities, _ *authz.AccessRequest) []string { return e.Actions },
			put:   func(q *authz.AccessRequest, name string) { q.Action.Name = name },
			show:  func(_ *authz.AccessRequest, name string) result { return result{Name: name} },
		},
	}
}

// searchAnswer is the answer to a search.
type searchAnswer struct {
	Results []result `json:"results"`
	// Page is there where it was asked for, or something follows.
	Page *pageAnswer `json:"page,omitempty"`
}

type pageAnswer struct {
	NextToken string `json:"next_token"`
}

// search is POST /access/v1/search/{subject,resource,action}.
func (a *API) search(c *call, kind searchKind) (any, error) {
	p, err := readParts("", c.body, kind.sought)
	if err != nil {
		return nil, err
	}
	q, err := p.question(kind.sought)
	if err != nil {
		return nil, err
	}
	page, err := readPage(c.body, digest(kind.sought, q))
	if err != nil {
		return nil, err
	}
	entities, err := c.snapshot.Entities(c.ctx)
	if err != nil {
		return nil, err
	}
	names := kind.among(entities, q)
	first, _ := slices.BinarySearch(names, page.after)
	for first < len(names) && (names[first] == "" || page.given && names[first] <= page.after) {
		first++
	}
	answer := searchAnswer{Results: []result{}}
	next, asked, start := "", 0, a.o.Now()
	last := page.after // the last name that was settled
	for _, name := range names[first:] {
		if asked == maxAsked || asked > 0 && a.o.Now().Sub(start) > searchTime {
			next = page.token(last)
			break
		}
		kind.put(q, name)
		access, err := c.snapshot.DecideAccess(c.ctx, q)
		if err != nil {
			return nil, err
		}
		asked++
		c.count(access.Allow)
		if access.Allow {
			if len(answer.Results) == page.limit {
				next = page.token(last)
				break
			}
			answer.Results = append(answer.Results, kind.show(q, name))
		}
		if access.Allow || len(answer.Results) < page.limit {
			last = name
		}
	}
	if page.asked || next != "" {
		answer.Page = &pageAnswer{NextToken: next}
	}
	a.o.Logger.LogAttrs(c.ctx, slog.LevelInfo, "access searched", slog.String("sought", kind.sought),
		slog.Int("asked", asked), slog.Int("found", len(answer.Results)), c.asker(),
		slog.String("request_id", c.passage.RequestID), slog.String("decision_id", c.passage.DecisionID),
		slog.String("revision", c.snapshot.Revision()))
	return answer, nil
}

// page is the part of the results that is asked for.
type page struct {
	asked  bool // the request has the member
	limit  int
	given  bool   // it has a token
	after  string // what the token says; names up to this one were on the pages before
	digest []byte // of the search
}

// digest identifies a search: all of it but the page.
func digest(sought string, q *authz.AccessRequest) []byte {
	same := *q
	switch sought { // only the type counts
	case "subject":
		same.Subject.ID = ""
	case "resource":
		same.Resource.ID = ""
	}
	// What was decoded from JSON can be encoded; members come out sorted.
	text, _ := json.Marshal([]any{sought, same})
	sum := sha256.Sum256(text)
	return sum[:digestBytes]
}

func readPage(body map[string]any, digest []byte) (page, error) {
	p := page{limit: maxResults, digest: digest}
	o, err := objectMember("", body, "page")
	if err != nil || o == nil {
		return p, err
	}
	p.asked = true
	if v, there := o["limit"]; there {
		n, err := count("page.limit", v)
		if err != nil {
			return p, err
		}
		p.limit = min(n, maxResults)
	}
	v, there := o["token"]
	if !there {
		return p, nil
	}
	token, ok := v.(string)
	if !ok {
		return p, wrongType("page.token", v, "a string")
	}
	if token == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(text) < digestBytes {
		return p, invalid("page.token is none that was given out as next_token")
	}
	if string(text[:digestBytes]) != string(digest) {
		return p, invalid("page.token belongs to another search: ask for the next page with the same subject, action, resource and context")
	}
	p.given, p.after = true, string(text[digestBytes:])
	return p, nil
}

// token is the page's that follows the name.
func (p page) token(after string) string {
	return base64.RawURLEncoding.EncodeToString(append(slices.Clone(p.digest), after...))
}
