package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
	"github.com/stagedoor/stagedoor/server/store"
	"github.com/stagedoor/stagedoor/server/token"
)

// The test program runs itself as another process on the database. These name
// the database, the names' prefix, and how many accounts to write (0: until
// killed).
const (
	childPath   = "STAGEDOOR_STORE_TEST_PATH"
	childPrefix = "STAGEDOOR_STORE_TEST_PREFIX"
	childCount  = "STAGEDOOR_STORE_TEST_COUNT"
	// childToken, where it is set, has it rotate this refresh token instead.
	childToken = "STAGEDOOR_STORE_TEST_TOKEN"
)

func TestMain(m *testing.M) {
	if path, token := os.Getenv(childPath), os.Getenv(childToken); token != "" {
		if err := rotateTokens(path, token, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	} else if path != "" {
		var count int
		fmt.Sscan(os.Getenv(childCount), &count)
		if err := writeAccounts(path, os.Getenv(childPrefix), count, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writeAccounts makes accounts and changes each once, and prints its name when
// both are done. Opening and closing are part of it every ten accounts.
func writeAccounts(path, prefix string, count int, out io.Writer) (err error) {
	ctx := context.Background()
	for n := 0; count == 0 || n < count; {
		opened, err := store.Open(ctx, store.Options{Path: path})
		if err != nil {
			return err
		}
		for range 10 {
			a := account.Account{
				ID: fmt.Sprintf("%s-%d", prefix, n), Username: fmt.Sprintf("%s-%d", prefix, n), Email: fmt.Sprintf("%s-%d@example.com", prefix, n),
				CreatedAt: time.Now(), UpdatedAt: time.Now(),
			}
			if err := opened.InsertAccounts(ctx, []account.Account{a}); err != nil {
				return fmt.Errorf("inserting: %w", err)
			}
			_, err := opened.UpdateAccount(ctx, a.ID, func(a *account.Account, _ *account.Effects) error {
				a.FullName = "changed"
				return nil
			})
			if err != nil {
				return fmt.Errorf("updating: %w", err)
			}
			if err := opened.RecordFailure(ctx, []string{"shared"}, time.Now(), time.Time{}); err != nil {
				return fmt.Errorf("recording: %w", err)
			}
			if _, err := fmt.Fprintln(out, a.ID); err != nil {
				return err
			}
			n++
		}
		if err := opened.Close(); err != nil {
			return err
		}
	}
	return nil
}

// child starts this program as another process that writes accounts.
func child(t *testing.T, path, prefix string, count int) (*exec.Cmd, *bufio.Scanner, *strings.Builder) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable)
	cmd.Env = append(os.Environ(), childPath+"="+path, childPrefix+"="+prefix, fmt.Sprintf("%s=%d", childCount, count))
	lines, complaints := run(t, cmd)
	return cmd, lines, complaints
}

// run starts another process and reads what it says.
func run(t *testing.T, cmd *exec.Cmd) (*bufio.Scanner, *strings.Builder) {
	t.Helper()
	complaints := &strings.Builder{}
	cmd.Stderr = complaints
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(pipe), complaints
}

func TestKill9LosesNothingThatWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stagedoor.db")
	key := token.Key{ID: "kid", Algorithm: "EdDSA", Secret: []byte("secret"), CreatedAt: time.Now()}
	var acknowledged []string
	// Different rounds die at different places; 10 writes share a handle, so some
	// die while closing and opening.
	for round, after := range []int{1, 7, 10, 23, 30} {
		before := open(t, path)
		err := before.ChangeKeys(t.Context(), func([]token.Key) (token.KeyChange, error) {
			return token.KeyChange{Put: []token.Key{key}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		cmd, lines, complaints := child(t, path, fmt.Sprintf("round%d", round), 0)
		for n := 0; lines.Scan(); n++ {
			acknowledged = append(acknowledged, lines.Text())
			if n == after {
				// It goes on writing until the signal arrives; what it has printed
				// until then is acknowledged too.
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || complaints.Len() > 0 {
			t.Fatalf("the child ended by itself (%v): %s", err, complaints)
		}

		opened := open(t, path)
		for _, id := range acknowledged {
			if got, err := opened.Account(t.Context(), id); err != nil || got.FullName != "changed" {
				t.Errorf("round %d: acknowledged account %s: %v, %v", round, id, got, err)
			}
			if _, err := opened.AccountByIdentity(t.Context(), id+"@example.com"); err != nil {
				t.Errorf("round %d: a name of account %s: %v", round, id, err)
			}
		}
		if keys, err := opened.Keys(t.Context()); err != nil || len(keys) != 1 || string(keys[0].Secret) != "secret" {
			t.Errorf("round %d: keys %v, %v", round, keys, err)
		}
		if got, err := opened.Pragma(t.Context(), "integrity_check"); err != nil || got != "ok" {
			t.Errorf("round %d: integrity %q, %v", round, got, err)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProcessesOnOneDatabaseNeverFindItBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stagedoor.db")
	const children, accounts = 3, 40
	// Nobody made the database before: they race for that too.
	var running []*exec.Cmd
	var complaints []*strings.Builder
	var reading sync.WaitGroup
	for n := range children {
		cmd, lines, complaint := child(t, path, fmt.Sprintf("child%d", n), accounts)
		running, complaints = append(running, cmd), append(complaints, complaint)
		reading.Go(func() {
			for lines.Scan() { // keeps the pipe from filling
			}
		})
	}
	if err := writeAccounts(path, "parent", accounts, io.Discard); err != nil {
		t.Error(err)
	}
	reading.Wait()
	for n, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("child %d: %v: %s", n, err, complaints[n])
		}
	}
	opened := open(t, path)
	defer func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := (children + 1) * accounts
	if got, err := opened.CountAccounts(t.Context()); err != nil || got != want {
		t.Errorf("%d accounts (%v), want %d", got, err, want)
	}
	marks, err := opened.LoginMarks(t.Context(), []string{"shared"})
	if err != nil || marks["shared"].Failures != want {
		t.Errorf("counted to %d (%v), want %d", marks["shared"].Failures, err, want)
	}
}
