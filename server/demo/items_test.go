package demo

import (
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestItems(t *testing.T) {
	s := newItems(time.Now, rand.Reader)
	before := s.all()
	it, err := s.add("Set list", "carol", "01CAROL")
	if err != nil {
		t.Fatal(err)
	}
	if got, found := s.find(it.ID); !found || got != it || got.ownerID != "01CAROL" {
		t.Errorf("found %+v, %v", got, found)
	}
	if len(s.all()) != len(before)+1 {
		t.Errorf("%d items", len(s.all()))
	}
	if !s.remove(it.ID) || s.remove(it.ID) {
		t.Error("an item can be removed once")
	}
	if _, found := s.find(it.ID); found {
		t.Error("a removed item is still there")
	}
	if got := s.all(); len(got) != len(before) || got[0] != before[0] {
		t.Errorf("what is left: %v", got)
	}
}

func TestItemsAreBounded(t *testing.T) {
	s := newItems(time.Now, rand.Reader)
	var err error
	for range maxItems + 1 {
		if _, err = s.add("x", "carol", "01CAROL"); err != nil {
			break
		}
	}
	if !errors.Is(err, errFull) || len(s.all()) != maxItems {
		t.Errorf("%v with %d items", err, len(s.all()))
	}
}

func TestItemsAtOnce(t *testing.T) {
	s := newItems(time.Now, rand.Reader)
	before := len(s.all())
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			it, err := s.add("x", "carol", "01CAROL")
			if err != nil || !s.remove(it.ID) {
				t.Errorf("%v, %v", it, err)
			}
			s.all()
		})
	}
	group.Wait()
	if len(s.all()) != before {
		t.Errorf("%d items are left, want %d", len(s.all()), before)
	}
}
