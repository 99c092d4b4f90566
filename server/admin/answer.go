package admin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/problem"
	"github.com/stagedoor/stagedoor/server/token"
)

// refusal is an error that says how to answer it.
type refusal struct {
	status int
	detail string
}

func (r *refusal) Error() string { return r.detail }

func fault(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// answer writes JSON that nobody may store.
func answer(c *call, status int, body any) error {
	c.Header("Cache-Control", "no-store")
	c.JSON(status, body)
	return nil
}

// answerItem is answer for an item that can be changed: with its entity tag.
func answerItem(c *call, status int, item any) error {
	tag, err := entityTag(item)
	if err != nil {
		return err
	}
	c.Header("ETag", tag)
	return answer(c, status, item)
}

// done answers what has nothing to say.
func done(c *call) error {
	c.Header("Cache-Control", "no-store")
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// page is a part of a list.
type page[T any] struct {
	Items []T `json:"items"`
	// Next is the cursor of what follows; absent at the end.
	Next string `json:"next,omitempty"`
}

// answerPage answers with the first limit of items, of which there is one more
// where the list goes on; cursor is that of an item, and parameter where the next
// request has to put it.
func answerPage[T any](c *call, items []T, limit int, parameter string, cursor func(T) string) error {
	p := page[T]{Items: append([]T{}, items...)}
	if len(items) > limit {
		p.Items = p.Items[:limit]
		p.Next = cursor(p.Items[limit-1])
		query := c.Request.URL.Query()
		query.Set(parameter, p.Next)
		next := url.URL{Path: c.Request.URL.Path, RawQuery: query.Encode()}
		c.Header("Link", "<"+next.String()+`>; rel="next"`)
	}
	return answer(c, http.StatusOK, p)
}

// entityTag is a strong entity tag of an item's content.
func entityTag(item any) (string, error) {
	text, err := json.Marshal(item)
	if err != nil {
		return "", fmt.Errorf("encoding an item: %w", err)
	}
	sum := sha256.Sum256(text)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`, nil
}

// precondition reads If-Match (RFC 9110 section 13.1.1), which whoever changes an
// item has to send.
func precondition(c *call) (func(item any) error, error) {
	values := c.Request.Header.Values("If-Match")
	if len(values) == 0 {
		return nil, fault(http.StatusPreconditionRequired, "send the item's entity tag as If-Match, so that nobody's change is lost; If-Match: * takes any")
	}
	var tags []string
	for tag := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	return func(item any) error {
		if slices.Contains(tags, "*") {
			return nil
		}
		tag, err := entityTag(item)
		if err != nil {
			return err
		}
		if !slices.Contains(tags, tag) {
			return fault(http.StatusPreconditionFailed, "the item has been changed since; get it again, and change what it is now")
		}
		return nil
	}, nil
}

// refuse answers an error.
func (a *API) refuse(c *gin.Context, err error) {
	status, detail := explain(err)
	p := problem.Problem{Status: status, Detail: detail}
	if passage := gate.FromGin(c); passage != nil {
		p.RequestID, p.DecisionID = passage.RequestID, passage.DecisionID
	}
	var busy *account.BusyError
	if errors.As(err, &busy) {
		c.Header("Retry-After", "1")
	}
	if status >= http.StatusInternalServerError && c.Request.Context().Err() == nil {
		a.logger.ErrorContext(c.Request.Context(), "an admin route failed", "path", c.FullPath(), "request_id", p.RequestID, "error", err)
	}
	problem.Write(c.Writer, p)
}

// explain says how to answer an error, and what to tell of it.
func explain(err error) (status int, detail string) {
	var (
		refused  *refusal
		invalid  *account.InvalidError
		conflict *account.ConflictError
		busy     *account.BusyError
	)
	switch {
	case errors.As(err, &refused):
		return refused.status, refused.detail
	case errors.As(err, &invalid):
		return http.StatusBadRequest, invalids(err)
	case errors.As(err, &conflict):
		return http.StatusConflict, conflict.Error()
	case errors.Is(err, account.ErrClientExists):
		return http.StatusConflict, account.ErrClientExists.Error()
	case errors.Is(err, account.ErrNotFound), errors.Is(err, account.ErrClientNotFound),
		errors.Is(err, account.ErrSessionNotFound), errors.Is(err, token.ErrKeyNotFound):
		return http.StatusNotFound, "there is no such item, or no longer"
	case errors.Is(err, token.ErrOnlySigningKey):
		return http.StatusConflict, "the key signs, and no other one does: rotate first, with {\"now\": true}"
	case errors.Is(err, token.ErrKeyRetired):
		return http.StatusConflict, token.ErrKeyRetired.Error()
	case errors.Is(err, token.ErrKeyOfFile):
		return http.StatusConflict, token.ErrKeyOfFile.Error()
	case errors.Is(err, token.ErrRotationPending):
		return http.StatusConflict, "the next key is published already; to have it sign at once, send {\"now\": true}"
	case errors.As(err, &busy):
		return http.StatusServiceUnavailable, "too many logins at once; try again"
	}
	return http.StatusInternalServerError, "the server failed; its log says why"
}

// invalids are the faults of an item, without what was being done.
func invalids(err error) string {
	var texts []string
	var collect func(error)
	collect = func(err error) {
		switch e := err.(type) {
		case *account.InvalidError:
			texts = append(texts, e.Error())
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				collect(one)
			}
		case interface{ Unwrap() error }:
			collect(e.Unwrap())
		}
	}
	collect(err)
	return strings.Join(texts, "; ")
}
