package gate_test

import (
	"errors"
	"net/http"
	"reflect"
	"testing"

	"github.com/stagedoor/stagedoor/server/route"
)

func TestQuestionIsWhatThePolicyIsAsked(t *testing.T) {
	for _, c := range []struct{ name, method, target, token string }{
		{"anonymous", "GET", "/account?q=x", ""},
		{"a subject", "GET", "/items/?q=a&q=b", "carol"},
		{"a resource", "DELETE", "/items/42", "carol"},
		{"undeclared", "GET", "/nowhere", "carol"},
		{"a refused token", "GET", "/account", "expired"},
		{"a subject that is gone", "GET", "/account", "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &door{logs: &logBuffer{}}
			g := testGate(t, d, nil)
			request := func() *http.Request {
				r, err := http.NewRequest(c.method, c.target, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.RequestURI, r.Host, r.RemoteAddr = c.target, "api.example.com", "203.0.113.7:4711"
				if c.token != "" {
					r.Header.Set("Authorization", "Bearer "+c.token)
				}
				return r
			}
			question, err := g.Question(request())
			if err != nil {
				t.Fatal(err)
			}
			if len(d.asked) != 0 {
				t.Error("the policy was asked")
			}
			g.Wrap(http.HandlerFunc(d.serve)).ServeHTTP(&nowhere{http.Header{}}, request())
			if asked := d.lastAsked(t); !reflect.DeepEqual(*question, asked) {
				t.Errorf("the question\n%+v\nis not what was asked:\n%+v", *question, asked)
			}
		})
	}
}

func TestNoQuestionIsAskedAboutATargetThatIsNotCanonical(t *testing.T) {
	r, err := http.NewRequest("GET", "/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI = "//a"
	_, err = testGate(t, &door{logs: &logBuffer{}}, nil).Question(r)
	var refused *route.TargetError
	if !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
}

// nowhere takes an answer that nobody reads.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
