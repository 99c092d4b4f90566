//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// loginResult is what other requests notice of many logins at once.
type loginResult struct {
	Logins int           `json:"logins"`
	Lasted time.Duration `json:"lasted"`
	Rate   float64       `json:"rate"` // of the other requests, per second
	Others int           `json:"others"`
	Failed int           `json:"failed"` // of the others
	P50    time.Duration `json:"p50"`
	Worst  time.Duration `json:"worst"`
	// Memory is the most that the server held, in bytes, as of its end.
	Memory int64 `json:"memory"`
}

// otherRate is how often somebody else asks meanwhile, per second.
const otherRate = 200

// logins logs many accounts in at once, each with the right password.
func (b *bench) logins(ctx context.Context, r *result) error {
	server, err := b.startFresh(ctx, "stagedoor-logins")
	if err != nil {
		return err
	}
	warm, err := b.openLoop(ctx, server, otherRate, min(b.OpenLoop, time.Second))
	if err != nil {
		return err
	}
	if warm.failed > 0 {
		return fmt.Errorf("%d requests failed before any login: %v", warm.failed, warm.reasons)
	}

	loaded, cancel := context.WithCancel(ctx)
	defer cancel()
	others := make(chan *arrivals, 1)
	var othersErr error
	go func() {
		arrived, err := b.openLoop(loaded, server, otherRate, time.Hour)
		if !errors.Is(err, context.Canceled) {
			othersErr = err
		}
		others <- arrived
	}()
	began := time.Now()
	loginErr := b.loginMany(ctx, server)
	lasted := time.Since(began)
	cancel()
	arrived := <-others
	if err := errors.Join(loginErr, othersErr, ctx.Err()); err != nil {
		return err
	}
	r.Logins = &loginResult{
		Logins: b.Logins, Lasted: lasted, Rate: otherRate,
		Others: len(arrived.latencies) + arrived.failed, Failed: arrived.failed,
		P50: arrived.percentile(50), Worst: arrived.percentile(100),
	}
	if r.Logins.Memory, _, err = server.memory(); err != nil {
		return err
	}
	b.say("%d logins took %s; worst other request %s", b.Logins, lasted.Round(time.Millisecond), r.Logins.Worst)
	return nil
}

func (b *bench) loginMany(ctx context.Context, server *process) error {
	errs := make([]error, b.Logins)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = login(ctx, server.addr, username(i%b.Accounts), password) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// login returns the answer to a login.
func login(ctx context.Context, addr, username, password string) (string, error) {
	form := url.Values{"grant_type": {"password"}, "username": {username}, "password": {password}}
	return post(ctx, "http://"+addr+"/token", "application/x-www-form-urlencoded", form.Encode())
}

// post returns the body of an answer of 200.
func post(ctx context.Context, target, contentType, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", contentType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("POST %s: %s: %s", target, answer.Status, text)
	}
	return string(text), nil
}
