package demo

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// maxItems bounds the memory that callers can fill.
const maxItems = 1000

// errFull says that there are maxItems items.
var errFull = errors.New("the demo holds 1000 items already; delete some first")

// item is something that somebody owns.
type item struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Owner is the owner's username when the item was made, for people to read.
	Owner string `json:"owner"`
	// ownerID is who it is. The items of the start have none: theirs are looked
	// up by name.
	ownerID string
}

// items holds the items in memory, in the order of their making.
type items struct {
	now  func() time.Time
	rand io.Reader

	mu   sync.Mutex
	list []item
}

// newItems starts with a few items of the demo's accounts.
func newItems(now func() time.Time, rand io.Reader) *items {
	return &items{now: now, rand: rand, list: []item{
		{ID: "01JDEM01TEM000000000000001", Title: "Stage plan", Owner: "johndoe"},
		{ID: "01JDEM01TEM000000000000002", Title: "Guest list", Owner: "johndoe"},
		{ID: "01JDEM01TEM000000000000003", Title: "Carol's guitar", Owner: "carol"},
	}}
}

// all is a copy of the list.
func (s *items) all() []item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func (s *items) find(id string) (item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.index(id); i >= 0 {
		return s.list[i], true
	}
	return item{}, false
}

// add gives the item an id and keeps it; [errFull] when there is no room.
func (s *items) add(title, owner, ownerID string) (item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) >= maxItems {
		return item{}, errFull
	}
	id, err := ulid.New(ulid.Timestamp(s.now()), s.rand)
	if err != nil {
		return item{}, fmt.Errorf("making an item's id: %w", err)
	}
	it := item{ID: id.String(), Title: title, Owner: owner, ownerID: ownerID}
	s.list = append(s.list, it)
	return it, nil
}

// remove reports whether the item was there.
func (s *items) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.index(id)
	if i < 0 {
		return false
	}
	s.list = slices.Delete(s.list, i, i+1)
	return true
}

func (s *items) index(id string) int {
	return slices.IndexFunc(s.list, func(it item) bool { return it.ID == id })
}
