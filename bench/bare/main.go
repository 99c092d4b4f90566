// Command bare answers some of the demo's routes with the same bodies as
// Stagedoor does, and decides nothing: the yardstick that `make bench` measures
// Stagedoor with.
//
// Status, body and headers are those of the demo's handlers. The ids of request
// and decision that Stagedoor adds to every answer are part of what it costs, so
// they are not here. The server's limits are Stagedoor's.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"
)

// item has the members of the demo's items.
type item struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Owner string `json:"owner"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func run() error {
	kind := flag.String("kind", "gin", "what serves: gin, nethttp or proxy")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	file := flag.String("items", "", "JSON file with the list of items to serve")
	upstream := flag.String("upstream", "", "URL to which a proxy passes requests on")
	flag.Parse()

	handler, err := handlerOf(*kind, *file, *upstream)
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: *listen, Handler: handler,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	return server.ListenAndServe()
}

func handlerOf(kind, file, upstream string) (http.Handler, error) {
	if kind == "proxy" {
		return proxyTo(upstream)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the items: %w", err)
	}
	var list []item
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("reading the items in %s: %w", file, err)
	}
	items := make(map[string]item, len(list))
	for _, it := range list {
		items[it.ID] = it
	}
	switch kind {
	case "gin":
		return overGin(items), nil
	case "nethttp":
		return overNetHTTP(items), nil
	}
	return nil, fmt.Errorf("-kind is gin, nethttp or proxy, not %q", kind)
}

const greeting = "Hello, admin!"

func overGin(items map[string]item) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	answer := func(c *gin.Context, body any) {
		c.Header("Cache-Control", "no-store")
		c.JSON(http.StatusOK, body)
	}
	router.GET("/admin-only", func(c *gin.Context) { answer(c, gin.H{"message": greeting}) })
	router.GET("/items/:id", func(c *gin.Context) {
		it, found := items[c.Param("id")]
		if !found {
			c.Status(http.StatusNotFound)
			return
		}
		answer(c, it)
	})
	return router
}

func overNetHTTP(items map[string]item) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any) {
		text, err := json.Marshal(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(text) // an error is the client's going away
	}
	mux.HandleFunc("GET /admin-only", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"message": greeting})
	})
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		it, found := items[r.PathValue("id")]
		if !found {
			http.NotFound(w, r)
			return
		}
		answer(w, it)
	})
	return mux
}
