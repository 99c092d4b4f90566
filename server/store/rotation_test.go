package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/store"
)

// rotationGrace is longer than the test, so that it can't depend on how busy the
// machine is.
const rotationGrace = time.Hour

func rotator(s *store.Store, grace time.Duration) *account.Sessions {
	return account.NewSessions(s, account.SessionOptions{Grace: grace})
}

func refresh(ctx context.Context, sessions *account.Sessions, token string) (string, error) {
	presented, err := sessions.Present(ctx, token)
	if err != nil {
		return "", err
	}
	return presented.Rotate(ctx, account.Rotation{
		Idle: time.Hour, AccessExpiry: time.Now().Add(time.Minute), Events: []account.Event{{Action: account.TokenRefreshed}},
	})
}

// rotateTokens is a token service that is asked for the next token for ever, twice
// at once, and prints what it hands out.
func rotateTokens(path, token string, out io.Writer) error {
	ctx := context.Background()
	opened, err := store.Open(ctx, store.Options{Path: path})
	if err != nil {
		return err
	}
	sessions := rotator(opened, rotationGrace)
	for {
		var answers [2]string
		var errs [2]error
		var wait sync.WaitGroup
		for i := range answers {
			wait.Go(func() { answers[i], errs[i] = refresh(ctx, sessions, token) })
		}
		wait.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		if answers[0] != answers[1] {
			return errors.New("two successors")
		}
		token = answers[0]
		if _, err := fmt.Fprintln(out, token); err != nil {
			return err
		}
	}
}

// live counts the tokens of all sessions that could be exchanged for another.
func live(t *testing.T, path string) int {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	var count int
	if err := db.QueryRow(`SELECT count(*) FROM refresh_tokens JOIN sessions ON id = session_id WHERE used_at = 0 AND revoked_at = 0`).Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}

// beginSession makes a database with somebody who has logged in.
func beginSession(t *testing.T, path string) string {
	t.Helper()
	opened := open(t, path)
	defer func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}()
	who := account.Account{ID: "01J00000000000000000000000", Username: "carol", CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := opened.InsertAccounts(t.Context(), []account.Account{who}); err != nil {
		t.Fatal(err)
	}
	sessions := rotator(opened, rotationGrace)
	id, err := sessions.NewID()
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := sessions.Begin(t.Context(), account.NewSession{
		ID: id, AccountID: who.ID, ClientID: account.FirstPartyClient, Idle: time.Hour, Absolute: time.Hour,
		AccessExpiry: time.Now().Add(time.Minute), WithRefresh: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestKill9DuringRotationsLeavesOneSuccessor(t *testing.T) {
	const rounds = 50
	path := filepath.Join(t.TempDir(), "stagedoor.db")
	token := beginSession(t, path)
	previous := ""
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	lost := 0
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), executable)
		cmd.Env = append(os.Environ(), childPath+"="+path, childToken+"="+token)
		lines, complaints := run(t, cmd)
		// It dies somewhere between one answer and the next.
		after, spin := random.IntN(6), random.IntN(3_000)
		for n := 0; lines.Scan(); n++ {
			previous, token = token, lines.Text()
			if n != after {
				continue
			}
			for began := time.Now(); time.Since(began) < time.Duration(spin)*time.Microsecond; {
				// The child goes on meanwhile.
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Wait(); err == nil || complaints.Len() > 0 {
			t.Fatalf("round %d: the child ended by itself (%v): %s", round, err, complaints)
		}

		if n := live(t, path); n != 1 {
			t.Fatalf("round %d: %d tokens are live, want 1", round, n)
		}
		opened := open(t, path)
		sessions := rotator(opened, rotationGrace)
		presented, err := sessions.Present(t.Context(), token)
		if err != nil {
			t.Fatalf("round %d: what the client received last: %v", round, err)
		}
		if presented.Retry {
			lost++ // the answer was stored and never heard
		}
		if again, err := refresh(t.Context(), sessions, previous); err != nil || again != token {
			t.Errorf("round %d: the predecessor leads elsewhere than to what the client received last (%v)", round, err)
		}
		next, err := refresh(t.Context(), sessions, token)
		if err != nil {
			t.Fatalf("round %d: going on: %v", round, err)
		}
		if again, err := refresh(t.Context(), sessions, token); err != nil || again != next {
			t.Errorf("round %d: a retry got another successor (%v)", round, err)
		}
		if n := live(t, path); n != 1 {
			t.Fatalf("round %d: %d tokens are live after going on, want 1", round, n)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
		previous, token = token, next
	}
	t.Logf("in %d of %d rounds a rotation was stored whose answer was lost", lost, rounds)

	// Without a grace whoever lost an answer must log in again, and nothing is left.
	opened := open(t, path)
	defer func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := refresh(t.Context(), rotator(opened, -1), previous); !errors.Is(err, account.ErrRefreshReused) {
		t.Errorf("without a grace: %v", err)
	}
	if n := live(t, path); n != 0 {
		t.Errorf("%d tokens are live after a reuse", n)
	}
}
