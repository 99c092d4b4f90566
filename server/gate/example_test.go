package gate_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stagedoor/stagedoor/server/authz"
	"github.com/stagedoor/stagedoor/server/gate"
	"github.com/stagedoor/stagedoor/server/policy"
	"github.com/stagedoor/stagedoor/server/token"
)

// notes is a policy in two files. A program would keep them in directories, and name
// these with policy.Dir.
var notes = policy.FS(
	fstest.MapFS{"authz/authz.rego": {Data: []byte(`package authz

decision := {"allow": true} if input.resource.owner == input.subject.id
`)}},
	fstest.MapFS{"routes.yaml": {Data: []byte(`
routes:
  /notes/{id}: {GET: {}}
`)}},
)

// owner finds a note's owner; in this collection all are Ann's.
func owner(context.Context, *authz.Request) (map[string]any, error) {
	return map[string]any{"owner": "ann"}, nil
}

// A program whose users log in elsewhere, served with net/http.
func Example() {
	ctx := context.Background()
	login := newLogin(ctx)
	defer login.Close()

	engine, err := policy.New(ctx, notes, policy.Options{})
	if err != nil {
		log.Fatal(err) // says file and line
	}
	issuers, err := token.NewTrustedIssuers([]token.TrustedIssuer{{
		Issuer: "https://login.example.com", Audience: []string{"notes"}, JWKSURL: login.URL,
	}}, token.TrustedIssuersOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer issuers.Close()
	door, err := gate.New(gate.Options{
		Policy:  engine,
		Realm:   "notes",
		Tokens:  token.NewVerifier(nil, token.VerifierOptions{Trusted: issuers}),
		Loaders: map[string]gate.Loader{"/notes/{id}": owner},
	})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		passage := gate.FromContext(r.Context())
		fmt.Fprintf(w, "note %s for %s", r.PathValue("id"), passage.Request.Subject.ID)
	})
	program := httptest.NewServer(door.Wrap(mux))
	defer program.Close()

	show(program.URL+"/notes/7", "")
	show(program.URL+"/notes/7", login.token("bob"))
	show(program.URL+"/notes/7", login.token("ann"))
	show(program.URL+"/notes//7", login.token("ann"))
	// Output:
	// 401 Bearer realm="notes"
	// 403
	// 200 note 7 for ann
	// 400
}

// A Gin program. The gate goes around the engine, not into it.
func ExampleGate_WrapGin() {
	engine, err := policy.New(context.Background(), notes, policy.Options{})
	if err != nil {
		log.Fatal(err)
	}
	door, err := gate.New(gate.Options{Policy: engine, Realm: "notes", Loaders: map[string]gate.Loader{"/notes/{id}": owner}})
	if err != nil {
		log.Fatal(err)
	}

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.GET("/notes/:id", func(c *gin.Context) {
		c.String(http.StatusOK, "note %s for %s", c.Param("id"), gate.FromGin(c).Request.Subject.ID)
	})
	program := httptest.NewServer(door.WrapGin(router))
	defer program.Close()

	show(program.URL+"/notes/7", "")
	// Output:
	// 401 Bearer realm="notes"
}

// login is where the users log in: it signs tokens, and publishes its keys.
type login struct {
	*httptest.Server
	keys *token.Keyring
}

func newLogin(ctx context.Context) *login {
	keys, err := token.OpenKeyring(ctx, &token.MemoryKeys{}, token.KeyringOptions{})
	if err != nil {
		log.Fatal(err)
	}
	return &login{httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(keys.JWKS())
	})), keys}
}

func (l *login) token(subject string) string {
	raw, _, _, err := l.keys.Mint(token.Registered{
		Issuer: "https://login.example.com", Subject: subject, Audience: []string{"notes"}, ClientID: "app", Lifetime: time.Hour,
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	return raw
}

// show asks a program, and prints its answer in a line.
func show(url, token string) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body := ""
	if response.StatusCode == http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		body = string(text)
	}
	fmt.Println(strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", response.Header.Get("WWW-Authenticate"), body)))
}
