package gate_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/gate"
)

// ginProgram is somebody else's Gin program.
func ginProgram() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.RedirectTrailingSlash = true
	return engine
}

func addRoutes(engine *gin.Engine) {
	engine.GET("/admin", func(c *gin.Context) { c.String(http.StatusOK, "hello %s", gate.FromGin(c).Request.Subject.Username) })
	engine.GET("/panic", func(c *gin.Context) {
		c.Header("Set-Cookie", "half=made")
		panic("hunter2")
	}, func(c *gin.Context) { c.String(http.StatusOK, "after the panic") })
	engine.GET("/docs/*path", func(c *gin.Context) { c.String(http.StatusOK, "%s for %s", c.Param("path"), c.ClientIP()) })
	engine.GET("/items", func(c *gin.Context) { c.String(http.StatusOK, "another path") })
	engine.POST("/token", func(c *gin.Context) {
		c.Stream(func(w io.Writer) bool {
			_, _ = io.WriteString(w, "streamed")
			return false
		})
	})
	engine.GET("/", func(c *gin.Context) {
		c.Request.URL.Path = "/admin"
		engine.HandleContext(c)
	})
}

func TestGin(t *testing.T) {
	wrapped := func(t *testing.T, d *door) http.Handler {
		engine := ginProgram()
		addRoutes(engine)
		return testGate(t, d, nil).WrapGin(engine)
	}
	asMiddleware := func(t *testing.T, d *door) http.Handler {
		engine := ginProgram()
		engine.RedirectTrailingSlash = false
		engine.Use(testGate(t, d, nil).Middleware())
		addRoutes(engine)
		return engine
	}
	tests := []struct {
		name, target, token string
		status              int
		body                string // part of it
	}{
		{"allowed", "/admin", "john", 200, "hello johndoe"},
		{"refused", "/admin", "carol", 403, "missing_role"},
		{"anonymous", "/admin", "", 401, "authenticate"},
		{"undeclared", "/nowhere", "carol", 404, `"status":404`},
		{"undeclared and anonymous", "/nowhere", "", 401, "authenticate"},
		{"no redirect to another slash", "/admin/", "", 401, "authenticate"},
		{"no redirect by Gin", "/items/", "carol", 404, ""},
		{"declared, but not in Gin", "/account", "carol", 404, ""},
		{"not canonical", "/docs/%2D", "", 400, `"status":400`},
		{"public", "/docs/a/b", "", 200, "/a/b"},
		{"panic", "/panic", "", 500, `"status":500`},
	}
	for kind, build := range map[string]func(*testing.T, *door) http.Handler{"WrapGin": wrapped, "Middleware": asMiddleware} {
		for _, tt := range tests {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				d := &door{logs: &logBuffer{}}
				server := httptest.NewServer(build(t, d))
				defer server.Close()
				request, _ := http.NewRequest("GET", server.URL, nil)
				request.URL.Opaque = tt.target
				request.Header.Set("X-Forwarded-For", "192.0.2.99")
				if tt.token != "" {
					request.Header.Set("Authorization", "Bearer "+tt.token)
				}
				answer, err := http.DefaultTransport.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				got := readAll(t, answer)
				if got.StatusCode != tt.status || !strings.Contains(got.body, tt.body) {
					t.Errorf("status %d, body %q; want %d and %q", got.StatusCode, got.body, tt.status, tt.body)
				}
				if strings.Contains(got.body, "after the panic") || got.Header.Get("Set-Cookie") != "" {
					t.Errorf("the handlers went on after a panic: %q %v", got.body, got.Header)
				}
				if got.Header.Get("X-Request-ID") == "" {
					t.Error("no X-Request-ID")
				}
				if kind == "WrapGin" && strings.Contains(got.body, "192.0.2.99") {
					t.Errorf("Gin believes a stranger's X-Forwarded-For: %q", got.body)
				}
			})
		}
	}
}

// Gin can route a request again, to another path than the gate has decided.
func TestGinRerouteIsRefused(t *testing.T) {
	d := &door{logs: &logBuffer{}}
	engine := ginProgram()
	engine.Use(testGate(t, d, nil).Middleware())
	addRoutes(engine)
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	body, _ := io.ReadAll(w.Body)
	if strings.Contains(string(body), "hello") || w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, body %q; want a refusal", w.Code, body)
	}
}

func TestGinStreams(t *testing.T) {
	d := &door{logs: &logBuffer{}}
	engine := ginProgram()
	addRoutes(engine)
	server := httptest.NewServer(testGate(t, d, nil).WrapGin(engine))
	defer server.Close()
	answer, err := http.Post(server.URL+"/token", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, answer); got.body != "streamed" {
		t.Errorf("status %d, body %q", got.StatusCode, got.body)
	}
}
