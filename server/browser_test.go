package server_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium finds the browser, or skips the test by name; with
// STAGEDOOR_TEST_ALL=1 a skip is a failure.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const why = "no Chromium is installed (on Debian: apt-get install chromium)"
	if os.Getenv("STAGEDOOR_TEST_ALL") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// TestAuthorizeInSwaggerUI logs johndoe in on the documentation page, as a
// person would, and calls a route with the token that the page got.
func TestAuthorizeInSwaggerUI(t *testing.T) {
	browser := chromium(t)
	s := start(t, nil)

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 1600),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()

	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, s.log.since(0))
		}
	}
	// The page's own click, since a mouse's misses what still moves.
	click := func(selector string) {
		t.Helper()
		do("waiting for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](fmt.Sprintf("document.querySelector(%q).click()", selector))); err != nil {
			t.Fatalf("clicking %s: %v", selector, err)
		}
	}
	const operation = `#operations-demo-adminOnly`
	do("opening the page", chromedp.Navigate(s.URL()+"/docs"))
	click(`button.authorize`)
	do("typing the login", chromedp.SendKeys(`#oauth_username`, "johndoe"), chromedp.SendKeys(`#oauth_password`, "secret"))
	click(`.auth-btn-wrapper button.authorize`)
	do("waiting to be logged in", chromedp.WaitVisible(`//button[text()="Logout"]`))
	click(`.auth-btn-wrapper button.btn-done`)
	click(operation + ` .opblock-summary-control`)
	click(operation + ` .execute`)
	do("waiting for the answer", chromedp.WaitVisible(chromedp.CSS(operation+` .live-responses-table`)))
	answer, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(operation+` .live-responses-table`)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer, "Hello, admin!") {
		t.Errorf("the page shows\n%s", answer)
	}
	fetched, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`performance.getEntriesByType("resource").map(entry => entry.name)`))
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range fetched {
		if !strings.HasPrefix(url, s.URL()) && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page reached beyond its own server: %s", url)
		}
	}
}
