package pdp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/server/authz"
)

// page is the part of a search's results that is asked for.
//
// Where it begins is said by a token, which holds nothing that its caller does not
// know: the last name that was given as a result, and how many names after that one
// were settled, none of which may be had. So it needs no key, and is good at every
// node and after a restart. Where the policy has changed, the number is worth nothing,
// and what follows the name is settled again. Whoever makes up a token chooses where
// to begin, and learns no more than by asking from the start.
type page struct {
	asked  bool // the request has the member
	limit  int
	digest []byte // of the search
	policy []byte // that decides, a digest

	after   string // the last name that was given; empty before the first
	settled uint64 // names after it
}

const (
	// digestBytes is how much of the search's digest is in a token.
	digestBytes = 16
	// policyBytes is how much of the policy's is.
	policyBytes = 8
)

// searchDigest identifies a search: all of it but the page.
func searchDigest(sought string, q *authz.AccessRequest) []byte {
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

func readPage(body map[string]any, digest []byte, revision string) (page, error) {
	sum := sha256.Sum256([]byte(revision))
	p := page{limit: maxResults, digest: digest, policy: sum[:policyBytes]}
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
	return p, p.readToken(token)
}

func errToken() error { return invalid("page.token is none that was given out as next_token") }

func (p *page) readToken(token string) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(text) < digestBytes || strings.ContainsAny(token, "\r\n") { // which base64 passes over
		return errToken()
	}
	if string(text[:digestBytes]) != string(p.digest) {
		return invalid("page.token belongs to another search: ask for the next page with the same subject, action, resource and context")
	}
	text = text[digestBytes:]
	if len(text) < policyBytes {
		return errToken()
	}
	policy, text := text[:policyBytes], text[policyBytes:]
	settled, n := binary.Uvarint(text)
	if n <= 0 {
		return errToken()
	}
	p.after = string(text[n:])
	if string(policy) == string(p.policy) {
		p.settled = settled
	}
	return nil
}

// begin is the place of the first name that is to be settled. An empty name is not
// looked at: no result could say it.
func (p *page) begin(names []string) int {
	at := p.follows(names)
	return at + int(min(p.settled, uint64(len(names)-at)))
}

// follows is the place of the first name after the last one that was given.
func (p *page) follows(names []string) int {
	at, there := slices.BinarySearch(names, p.after)
	if there {
		at++
	}
	return at
}

// gave notes a name that was given as a result.
func (p *page) gave(name string) { p.after = name }

// token is that of the page that begins at a place.
func (p *page) token(names []string, at int) string {
	text := slices.Concat(p.digest, p.policy)
	text = binary.AppendUvarint(text, uint64(at-p.follows(names)))
	return base64.RawURLEncoding.EncodeToString(append(text, p.after...))
}
