package apidoc

import (
	_ "embed" // for openapi.json
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"

	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/problem"
)

// openAPI describes every route of a demo server (OpenAPI 3.1).
//
//go:embed openapi.json
var openAPI []byte

// docsSecurity keeps Swagger UI to this server: nothing is loaded from another
// host or sent to one. Its page holds an inline script and styles.
const docsSecurity = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Register adds the API's description, with the routes of the demo or without, and
// Swagger UI to read it in. An error is a document that can't be read.
func Register(routes gin.IRouter, demo bool) error {
	document := openAPI
	if !demo {
		var err error
		if document, err = withoutDemo(openAPI); err != nil {
			return err
		}
	}
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Stagedoor", SwaggerJSON: "/openapi.json", BasePath: "/docs",
		SettingsUI: map[string]string{"tryItOutEnabled": "true"},
	})
	assets := docsAssets()
	serve := func(c *gin.Context) {
		h := c.Writer.Header()
		h.Set("Content-Security-Policy", docsSecurity)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // the assets have entity tags
		ui.ServeHTTP(c.Writer, c.Request)
	}
	routes.GET("/docs", serve)
	routes.GET("/docs/*path", func(c *gin.Context) {
		if !assets[strings.TrimPrefix(c.Param("path"), "/")] {
			problem.Write(c.Writer, notFound(c))
			return
		}
		serve(c)
	})
	routes.GET("/openapi.json", func(c *gin.Context) {
		c.Header("Cache-Control", "no-cache")
		c.Data(http.StatusOK, "application/json", document)
	})
	return nil
}

// demoTag marks what is there with --demo only.
const demoTag = "demo"

// withoutDemo leaves out the demo's operations, and its tag.
func withoutDemo(document []byte) ([]byte, error) {
	var d map[string]any
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("reading openapi.json: %w", err)
	}
	paths, _ := d["paths"].(map[string]any)
	for path, item := range paths {
		operations, _ := item.(map[string]any)
		for method, operation := range operations {
			o, _ := operation.(map[string]any)
			if tags, _ := o["tags"].([]any); slices.Contains(tags, any(demoTag)) {
				delete(operations, method)
			}
		}
		if _, shared := operations["parameters"]; len(operations) == 0 || shared && len(operations) == 1 {
			delete(paths, path)
		}
	}
	tags, _ := d["tags"].([]any)
	d["tags"] = slices.DeleteFunc(tags, func(tag any) bool {
		t, _ := tag.(map[string]any)
		return t["name"] == demoTag
	})
	return json.MarshalIndent(d, "", "  ")
}

// docsAssets names the files of Swagger UI; those that are kept compressed are
// served under their name without .gz.
func docsAssets() map[string]bool {
	assets := map[string]bool{}
	entries, _ := fs.ReadDir(static.FS, ".") // an embedded file system's root always reads
	for _, entry := range entries {
		assets[strings.TrimSuffix(entry.Name(), ".gz")] = true
	}
	return assets
}

func notFound(c *gin.Context) problem.Problem {
	p := problem.Problem{Status: http.StatusNotFound}
	if passage := gate.FromGin(c); passage != nil {
		p.RequestID, p.DecisionID = passage.RequestID, passage.DecisionID
	}
	return p
}
