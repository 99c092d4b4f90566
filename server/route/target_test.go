package route

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// The names are the lines of the attack list on paths.
func TestParseTargetRefuses(t *testing.T) {
	tests := []struct {
		name, target, code string
	}{
		{"//admin", "//admin", CodeEmptySegment},
		{"doubled slash inside", "/x//admin", CodeEmptySegment},
		{"doubled slash at the end", "/admin//", CodeEmptySegment},
		{"only slashes", "//", CodeEmptySegment},
		{"/./admin", "/./admin", CodeDotSegment},
		{"dot at the end", "/admin/.", CodeDotSegment},
		{"/x/../admin", "/x/../admin", CodeDotSegment},
		{"dots at the end", "/admin/..", CodeDotSegment},
		{"/admin;x", "/admin;x", CodeSemicolon},
		{"encoded semicolon", "/admin%3Bx", CodeSemicolon},
		{"dots and semicolon", "/x/..;/admin", CodeSemicolon},
		{"/admin%2f", "/admin%2f", CodeLowerHex},
		{"/admin%2F", "/admin%2F", CodeEncodedSlash},
		{"/%61dmin", "/%61dmin", CodeEncodedUnreserved},
		{"encoded hyphen (%2D)", "/client%2Donly", CodeEncodedUnreserved},
		{"encoded dots (%2E%2E)", "/x/%2E%2E/admin", CodeEncodedUnreserved},
		{"encoded tilde", "/%7Eroot", CodeEncodedUnreserved},
		{"/admin%00", "/admin%00", CodeControl},
		{"raw NUL", "/admin\x00", CodeControl},
		{"encoded line feed", "/admin%0A", CodeControl},
		{"raw tab", "/admin\t", CodeControl},
		{"encoded delete", "/admin%7F", CodeControl},
		{"encoded next line (a C1 control)", "/admin%C2%85", CodeControl},
		{`/admin\`, `/admin\`, CodeBackslash},
		{`backslash dots`, `/x\..\admin`, CodeBackslash},
		{"/admin%5c", "/admin%5c", CodeLowerHex},
		{"/admin%5C", "/admin%5C", CodeBackslash},
		{"/admin#", "/admin#", CodeFragment},
		{"fragment in the query", "/admin?x=1#y", CodeFragment},
		{"overlong UTF-8 slash", "/x%C0%AFadmin", CodeUTF8},
		{"overlong UTF-8 dot", "/x/%C0%AE%C0%AE/admin", CodeUTF8},
		{"invalid UTF-8", "/admin%FF", CodeUTF8},
		{"cut UTF-8", "/caf%C3", CodeUTF8},
		{"surrogate in UTF-8", "/%ED%A0%80", CodeUTF8},
		{"UTF-8 cut by a slash", "/caf%C3/%A9", CodeUTF8},
		{"%252e", "/%252e%252e/admin", CodeDoubleEncoding},
		{"%252F", "/x%252Fadmin", CodeDoubleEncoding},
		{"%2541", "/%2541dmin", CodeDoubleEncoding},
		{"lower-case hex", "/caf%c3%a9", CodeLowerHex},
		{"mixed-case hex", "/caf%C3%a9", CodeLowerHex},
		{"percent at the end", "/admin%", CodeBadEscape},
		{"percent and one digit", "/admin%4", CodeBadEscape},
		{"percent and no digits", "/admin%zz", CodeBadEscape},
		{"percent before a slash", "/admin%2/x", CodeBadEscape},
		{"raw space", "/ad min", CodeForbidden},
		{"raw quote", `/ad"min`, CodeForbidden},
		{"raw angle bracket", "/<admin>", CodeForbidden},
		{"raw caret", "/^admin", CodeForbidden},
		{"raw backquote", "/`admin", CodeForbidden},
		{"raw braces", "/{admin}", CodeForbidden},
		{"raw bar", "/admin|x", CodeForbidden},
		{"raw brackets", "/admin[0]", CodeForbidden},
		{"raw non-ASCII", "/café", CodeForbidden},
		{"raw invalid UTF-8", "/admin\xff", CodeForbidden},
		{"absolute form", "http://localhost/admin", CodeForm},
		{"absolute form, other scheme", "file:///admin", CodeForm},
		{"authority form", "localhost:443", CodeForm},
		{"asterisk form", "*", CodeForm},
		{"empty", "", CodeForm},
		{"relative", "admin", CodeForm},
		{"only a query", "?x=1", CodeForm},
		{"query with a bad escape", "/admin?x=%zz", CodeQuery},
		{"query with a cut escape", "/admin?x=%", CodeQuery},
		{"query with a semicolon", "/admin?a=1;b=2", CodeQuery},
		{"query with a space", "/admin?x=a b", CodeQuery},
		{"query with a control character", "/admin?x=\x01", CodeQuery},
		{"query with non-ASCII", "/admin?x=é", CodeQuery},
		{"query with invalid UTF-8", "/admin?x=%FF", CodeQuery},
		{"query name with invalid UTF-8", "/admin?%FF=x", CodeQuery},
		{"query with NUL", "/admin?x=%00", CodeQuery},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseTarget(tt.target)
			var refused *TargetError
			if !errors.As(err, &refused) {
				t.Fatalf("ParseTarget(%q) = %+v, %v; want a *TargetError", tt.target, got, err)
			}
			if refused.Code != tt.code {
				t.Errorf("ParseTarget(%q): code %q, want %q", tt.target, refused.Code, tt.code)
			}
			if !reflect.DeepEqual(got, Target{}) {
				t.Errorf("ParseTarget(%q) = %+v beside an error, want nothing", tt.target, got)
			}
			if refused.Detail == "" || strings.Contains(refused.Error(), tt.target) && len(tt.target) > 1 {
				t.Errorf("ParseTarget(%q): message %q is empty or repeats the target", tt.target, refused.Error())
			}
		})
	}
}

func TestParseTargetAccepts(t *testing.T) {
	tests := []struct {
		name, target string
		want         Target
	}{
		{"root", "/", Target{Path: "/", Segments: []string{""}}},
		{"/admin/ is not /admin", "/admin/", Target{Path: "/admin/", Segments: []string{"admin", ""}}},
		{"/ADMIN is not /admin", "/ADMIN", Target{Path: "/ADMIN", Segments: []string{"ADMIN"}}},
		{"/admin?x=/../", "/admin?x=/../", Target{
			Path: "/admin", Segments: []string{"admin"}, RawQuery: "x=/../", Query: map[string][]string{"x": {"/../"}},
		}},
		{"empty query", "/admin?", Target{Path: "/admin", Segments: []string{"admin"}}},
		{"unreserved", "/a-b.c_d~e", Target{Path: "/a-b.c_d~e", Segments: []string{"a-b.c_d~e"}}},
		{"three dots", "/...", Target{Path: "/...", Segments: []string{"..."}}},
		{"sub-delims as they are", "/a@b:c!$&'()*+,=", Target{
			Path: "/a@b:c!$&'()*+,=", Segments: []string{"a@b:c!$&'()*+,="},
		}},
		{"sub-delims encoded", "/a%40b%3Ac", Target{Path: "/a%40b%3Ac", Segments: []string{"a@b:c"}}},
		{"plus is a plus", "/a+b", Target{Path: "/a+b", Segments: []string{"a+b"}}},
		{"encoded space", "/a%20b", Target{Path: "/a%20b", Segments: []string{"a b"}}},
		{"encoded question mark", "/a%3Fb", Target{Path: "/a%3Fb", Segments: []string{"a?b"}}},
		{"encoded percent", "/100%25", Target{Path: "/100%25", Segments: []string{"100%"}}},
		{"encoded percent before other text", "/100%25zz", Target{Path: "/100%25zz", Segments: []string{"100%zz"}}},
		{"UTF-8", "/caf%C3%A9/x", Target{Path: "/caf%C3%A9/x", Segments: []string{"café", "x"}}},
		{"query in any hex case", "/s?q=caf%c3%a9+au%20lait&q=x&flag&&e=", Target{
			Path: "/s", Segments: []string{"s"}, RawQuery: "q=caf%c3%a9+au%20lait&q=x&flag&&e=",
			Query: map[string][]string{"q": {"café au lait", "x"}, "flag": {""}, "e": {""}},
		}},
		{"second question mark", "/s?q=a?b", Target{
			Path: "/s", Segments: []string{"s"}, RawQuery: "q=a?b", Query: map[string][]string{"q": {"a?b"}},
		}},
		{"brackets in the query", "/s?f[a]=1", Target{
			Path: "/s", Segments: []string{"s"}, RawQuery: "f[a]=1", Query: map[string][]string{"f[a]": {"1"}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseTarget(tt.target)
			if err != nil {
				t.Fatalf("ParseTarget(%q): %v", tt.target, err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseTarget(%q) = %+v, want %+v", tt.target, got, tt.want)
			}
		})
	}
}

// encodeSegment is the one spelling that encodes whatever is not unreserved.
func encodeSegment(segment string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(segment); i++ {
		if c := segment[i]; isUnreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// encodeReserved rewrites a path's raw sub-delims, ":" and "@" as escapes: what
// ParseTarget leaves open is brought to one form.
func encodeReserved(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '/' || c == '%' || isUnreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(encodeSegment(string(c)))
		}
	}
	return b.String()
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{
		"/", "/admin", "/admin/", "//admin", "/./admin", "/x/../admin", "/ADMIN", "/admin;x", "/admin%2f", "/admin%2F",
		"/%61dmin", "/admin%00", `/admin\`, "/admin%5c", "/admin?x=/../", "/admin#", "/%C0%AF", "/%252e", "/caf%C3%A9",
		"/a%40b", "/a@b", "/100%25", "*", "http://h/a", "/a?b=%2&c", "/a?b=c;d", "/items/42?q=x&q=y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := ParseTarget(raw)
		if err != nil {
			var refused *TargetError
			if !errors.As(err, &refused) {
				t.Fatalf("error %T, want *TargetError", err)
			}
			return
		}

		encoded := make([]string, len(target.Segments))
		for i, segment := range target.Segments {
			switch {
			case segment == "" && i < len(target.Segments)-1, segment == ".", segment == "..":
				t.Fatalf("%q: segment %q", raw, segment)
			case strings.ContainsAny(segment, "/\\;\x00"), strings.ContainsFunc(segment, unicode.IsControl):
				t.Fatalf("%q: segment %q holds a forbidden character", raw, segment)
			case !utf8.ValidString(segment):
				t.Fatalf("%q: segment %q is not UTF-8", raw, segment)
			}
			encoded[i] = encodeSegment(segment)
		}

		// One spelling: the decoded segments lead back to the path.
		canonical := "/" + strings.Join(encoded, "/")
		if got := encodeReserved(target.Path); got != canonical {
			t.Fatalf("%q: path is %q, its segments spell %q", raw, got, canonical)
		}
		again, err := ParseTarget(canonical)
		if err != nil || !reflect.DeepEqual(again.Segments, target.Segments) {
			t.Fatalf("%q: canonical %q reads %q, %v; want %q", raw, canonical, again.Segments, err, target.Segments)
		}

		// Go's own parser reads the same path and query.
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			t.Fatalf("%q: net/url refuses what was accepted: %v", raw, err)
		}
		if want := "/" + strings.Join(target.Segments, "/"); u.Path != want || u.Host != "" {
			t.Fatalf("%q: net/url reads path %q host %q, want %q", raw, u.Path, u.Host, want)
		}
		if u.EscapedPath() != target.Path || u.RawQuery != target.RawQuery {
			t.Fatalf("%q: net/url writes %q ? %q, want %q ? %q", raw, u.EscapedPath(), u.RawQuery, target.Path, target.RawQuery)
		}
		query, err := url.ParseQuery(target.RawQuery)
		if err != nil || len(query) != len(target.Query) {
			t.Fatalf("%q: net/url reads query %v, %v; want %v", raw, query, err, target.Query)
		}
	})
}
