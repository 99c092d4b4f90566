package demo

import (
	_ "embed" // for openapi.json
	"io/fs"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"
)

// openAPI describes every route of a demo server (OpenAPI 3.1). A test holds it
// to data/routes.yaml and to the routes that are registered.
//
//go:embed openapi.json
var openAPI []byte

// docsSecurity keeps Swagger UI to this server: nothing is loaded from another
// host or sent to one. Its page holds an inline script and styles.
const docsSecurity = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerDocs adds the API's description, and Swagger UI to read it in.
func registerDocs(routes gin.IRouter) {
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
			refuse(c, http.StatusNotFound, "")
			return
		}
		serve(c)
	})
	routes.GET("/openapi.json", func(c *gin.Context) {
		c.Header("Cache-Control", "no-cache")
		c.Data(http.StatusOK, "application/json", openAPI)
	})
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
