package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

// A grant type is listed unless it is closed to all. What the policy has against the
// built-in client, for which it is asked, must not hide it, nor break discovery.
func TestGrantTypesOfTheMetadata(t *testing.T) {
	refusal := func(code string) authz.Grant { return authz.Grant{Reasons: []authz.Reason{{Code: code}}} }
	tests := []struct {
		name    string
		opening authz.Grant
		err     error
		status  int
		want    []string
	}{
		{"nothing against it", refusal("unsupported_subject"), nil, 200, []string{"password"}},
		{"closed to all", refusal(codeUnsupportedGrantType), nil, 200, nil},
		{"closed to the built-in client", refusal(codeUnauthorizedClient), nil, 200, []string{"password"}},
		{"the built-in client is refused", refusal(codeInvalidClient), nil, 200, []string{"password"}},
		{"no decision", authz.Grant{}, errors.New("timeout"), 503, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newParts()
			p.opening, p.openErr = tt.opening, tt.err
			w := httptest.NewRecorder()
			p.service.serveMetadata(w, httptest.NewRequest(http.MethodGet, metadataPath, nil))
			var got metadata
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != tt.status || !slices.Equal(got.GrantTypes, tt.want) {
				t.Errorf("%d %s, %v", w.Code, w.Body, err)
			}
		})
	}
}
