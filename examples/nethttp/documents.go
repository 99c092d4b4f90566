package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
)

// document is what the program keeps: a text that somebody wrote for their tenant.
type document struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	Owner  string `json:"owner"`
	Text   string `json:"text"`
}

// documents are all documents, by id. The zero value is ready.
type documents struct{ byID sync.Map }

// resource tells the policy of the document that a request is about.
func (d *documents) resource(_ context.Context, r *authz.Request) (map[string]any, error) {
	found, ok := d.byID.Load(r.Params["id"])
	if !ok {
		return nil, nil
	}
	return map[string]any{"owner": found.(document).Owner, "tenant": found.(document).Tenant}, nil
}

// handler is the API. It asks nobody who they are: whoever gets here may.
func (d *documents) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /documents", d.create)
	mux.HandleFunc("GET /documents/{id}", d.read)
	mux.HandleFunc("DELETE /documents/{id}", d.remove)
	return mux
}

// create keeps the body's text as a document of the caller, in the caller's tenant.
func (d *documents) create(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "the text can't be read, or is longer than 1 MiB", http.StatusBadRequest)
		return
	}
	asked := gate.FromContext(r.Context()).Request
	tenant, _ := asked.Claims.Values["tenant"].(string)
	made := document{ID: rand.Text(), Tenant: tenant, Owner: asked.Subject.ID, Text: string(text)}
	d.byID.Store(made.ID, made)
	w.Header().Set("Location", "/documents/"+made.ID)
	answer(w, http.StatusCreated, made)
}

func (d *documents) read(w http.ResponseWriter, r *http.Request) {
	found, ok := d.byID.Load(r.PathValue("id"))
	if !ok { // removed since the policy saw it
		http.NotFound(w, r)
		return
	}
	answer(w, http.StatusOK, found)
}

func (d *documents) remove(w http.ResponseWriter, r *http.Request) {
	d.byID.Delete(r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the caller has gone
}
