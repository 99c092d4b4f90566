package pdp

import (
	"log/slog"
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
	page, err := readPage(c.body, searchDigest(kind.sought, q), c.snapshot.Revision())
	if err != nil {
		return nil, err
	}
	entities, err := c.snapshot.Entities(c.ctx)
	if err != nil {
		return nil, err
	}
	names := kind.among(entities, q)
	answer := searchAnswer{Results: []result{}}
	at, next, asked, start := page.begin(names), "", 0, a.o.Now()
	for ; at < len(names); at++ {
		if asked == maxAsked || asked > 0 && a.o.Now().Sub(start) > searchTime {
			next = page.token(names, at)
			break
		}
		kind.put(q, names[at])
		access, err := c.questions.Decide(c.ctx, q)
		if err != nil {
			return nil, err
		}
		asked++
		c.count(access.Allow)
		if !access.Allow {
			continue
		}
		if len(answer.Results) == page.limit {
			next = page.token(names, at)
			break
		}
		answer.Results = append(answer.Results, kind.show(q, names[at]))
		page.gave(names[at])
	}
	if page.asked || next != "" {
		answer.Page = &pageAnswer{NextToken: next}
	}
	a.o.Logger.LogAttrs(c.ctx, slog.LevelInfo, "access searched", slog.String("sought", kind.sought),
		slog.Int("asked", asked), slog.Int("found", len(answer.Results)), c.from())
	return answer, nil
}
