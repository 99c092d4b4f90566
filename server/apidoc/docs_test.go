package apidoc

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// get asks the demo's routes without a gate in front: these are public.
func get(t *testing.T, path string) *http.Response {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.RedirectTrailingSlash, router.RedirectFixedPath = false, false
	if err := Register(router, true); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Result()
}

func read(t *testing.T, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestDocsComeFromThisServerOnly(t *testing.T) {
	response := get(t, "/docs")
	page := read(t, response)
	if response.StatusCode != 200 || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(links) < 4 {
		t.Fatalf("found only the links %v in %s", links, page)
	}
	for _, link := range links {
		if !strings.HasPrefix(link[1], "/docs/") {
			t.Errorf("the page loads %s", link[1])
		}
		asset := get(t, link[1])
		if asset.StatusCode != 200 || read(t, asset) == "" {
			t.Errorf("%s: %d", link[1], asset.StatusCode)
		}
	}
	if strings.Contains(page, "cdn") || strings.Contains(page, "googleapis") {
		t.Errorf("the page names another host: %s", page)
	}
	if !strings.Contains(page, `"swaggerJsonUrl":"/openapi.json"`) {
		t.Errorf("the page does not show /openapi.json: %s", page)
	}
	policy := response.Header.Get("Content-Security-Policy")
	if policy == "" || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
		t.Errorf("Content-Security-Policy %q", policy)
	}
}

func TestDocsAssets(t *testing.T) {
	tests := []struct {
		path, contentType string
		status            int
	}{
		{"/docs/swagger-ui.css", "text/css", 200},
		{"/docs/swagger-ui-bundle.js", "javascript", 200},
		{"/docs/favicon-32x32.png", "image/png", 200},
		{"/docs/oauth2-redirect.html", "text/html", 200},
		{"/docs/swagger-ui.css.gz", "", 404},
		{"/docs/nothing.js", "application/problem+json", 404},
		{"/docs/", "application/problem+json", 404},
		{"/docs/../openapi.json", "application/problem+json", 404},
		{"/openapi.json", "application/json", 200},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			response := get(t, tt.path)
			if response.StatusCode != tt.status || !strings.Contains(response.Header.Get("Content-Type"), tt.contentType) {
				t.Errorf("%d %s, want %d %s", response.StatusCode, response.Header.Get("Content-Type"), tt.status, tt.contentType)
			}
		})
	}
}
