package oauth

import (
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseForm(t *testing.T) {
	tests := []struct {
		name, body string
		want       form // nil: refused
	}{
		{"nothing", "", form{}},
		{"one", "grant_type=password", form{"grant_type": {"password"}}},
		{"empty value counts as omitted (RFC 6749 section 3.2)", "scope=&username=x", form{"username": {"x"}}},
		{"no equals sign counts as omitted", "scope&username=x", form{"username": {"x"}}},
		{"unknown parameters are kept and ignored", "x=1", form{"x": {"1"}}},
		{"plus is a space, percent-encoding is undone once", "scope=a+b%2Bc%2525", form{"scope": {"a b+c%25"}}},
		{"UTF-8, encoded and not", "password=%C3%A4ä", form{"password": {"ää"}}},
		{"a value may hold = and ;", "password=a=b;c=d", form{"password": {"a=b;c=d"}}},
		{"empty pairs", "&&a=1&", form{"a": {"1"}}},
		{"resource and audience may be repeated", "resource=a&resource=b&audience=c&audience=d", form{"resource": {"a", "b"}, "audience": {"c", "d"}}},
		{"a parameter twice", "username=a&username=b", nil},
		{"a parameter twice with the same value", "username=a&username=a", nil},
		{"a parameter twice, once empty", "username=&username=a", nil},
		{"a parameter twice, once encoded", "username=a&user%6Eame=b", nil},
		{"an unknown parameter twice", "x=1&x=1", nil},
		{"broken percent-encoding in a value", "username=%4", nil},
		{"broken percent-encoding in a name", "%zz=1", nil},
		{"invalid UTF-8, encoded", "username=%ff", nil},
		{"overlong UTF-8, encoded", "username=%c0%af", nil},
		{"invalid UTF-8, raw", "username=\xff", nil},
		{"invalid UTF-8 in a name", "%ff=1", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseForm(tt.body)
			if tt.want == nil {
				if err == nil || asError(err).Code != codeInvalidRequest {
					t.Fatalf("got %v, %v; want invalid_request", got, err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestReadFormTakesOnlyOneMediaType(t *testing.T) {
	tests := []struct {
		name  string
		types []string
		ok    bool
	}{
		{"the type", []string{formType}, true},
		{"in another case", []string{"Application/X-WWW-Form-Urlencoded"}, true},
		{"with a charset", []string{formType + "; charset=UTF-8"}, true},
		{"with another charset", []string{formType + ";charset=iso-8859-1"}, true},
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"JSON", []string{"application/json"}, false},
		{"multipart", []string{"multipart/form-data; boundary=x"}, false},
		{"text", []string{"text/plain"}, false},
		{"a longer name", []string{formType + "x"}, false},
		{"broken parameters", []string{formType + "; charset"}, false},
		{"two", []string{formType, formType}, false},
		{"two in one", []string{formType + ", application/json"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/token?username=q", strings.NewReader("username=b"))
			r.Header.Del("Content-Type")
			for _, value := range tt.types {
				r.Header.Add("Content-Type", value)
			}
			f, err := readForm(httptest.NewRecorder(), r)
			if !tt.ok {
				if err == nil || asError(err).Code != codeInvalidRequest || asError(err).status() != 400 {
					t.Fatalf("got %v, %v; want 400 invalid_request", f, err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(f, form{"username": {"b"}}) {
				t.Fatalf("got %v, %v", f, err)
			}
		})
	}
}

func TestReadFormIsBounded(t *testing.T) {
	read := func(size int) error {
		r := httptest.NewRequest("POST", "/token", strings.NewReader("a="+strings.Repeat("x", size-2)))
		r.Header.Set("Content-Type", formType)
		_, err := readForm(httptest.NewRecorder(), r)
		return err
	}
	if err := read(maxFormBytes); err != nil {
		t.Errorf("64 KiB: %v", err)
	}
	if err := read(maxFormBytes + 1); err == nil || asError(err).status() != 413 || asError(err).Code != codeInvalidRequest {
		t.Errorf("one byte more: %v; want 413 invalid_request", err)
	}
}

func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{
		"", "&", "=", "grant_type=password&username=johndoe&password=secret", "scope=items%3Aread+items%3Awrite",
		"a=1&a=2", "resource=x&resource=y", "%", "a=%4", "%ff=%c0%af", "a=b;c=d", "+=+", "a=\x00", "é=ü",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := parseForm(body)
		if err != nil {
			if asError(err).Code != codeInvalidRequest || asError(err).status() != 400 {
				t.Fatalf("%q: %v is no invalid_request", body, err)
			}
			return
		}
		for name, values := range got {
			if len(values) == 0 || len(values) > 1 && !repeatable(name) {
				t.Fatalf("%q: %q has %d values", body, name, len(values))
			}
			for _, value := range values {
				if value == "" || !utf8.ValidString(value) || !utf8.ValidString(name) {
					t.Fatalf("%q: %q=%q", body, name, value)
				}
			}
		}
		// What was accepted means the same when it is written again.
		again, err := parseForm(url.Values(got).Encode())
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q: %v became %v, %v", body, got, again, err)
		}
	})
}
