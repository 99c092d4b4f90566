package demo

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReadTitle(t *testing.T) {
	const jsonType = "application/json"
	tests := []struct {
		name, contentType, body string
		want                    string
		status                  int // of the refusal; 0: none
	}{
		{"a title", jsonType, `{"title": "Set list"}`, "Set list", 0},
		{"a charset", jsonType + "; charset=utf-8", `{"title":"x"}`, "x", 0},
		{"spaces around", jsonType, ` {"title":" x "} ` + "\n", "x", 0},
		{"escapes", jsonType, `{"title":"\u00e9\ud83c\udfb8"}`, "é🎸", 0},
		{"other members", jsonType, `{"owner":"johndoe","title":"x","id":[1]}`, "x", 0},
		{"no title", jsonType, `{}`, defaultTitle, 0},
		{"no body", "", "", defaultTitle, 0},
		{"the longest title", jsonType, `{"title":"` + strings.Repeat("é", maxTitle) + `"}`, strings.Repeat("é", maxTitle), 0},
		{"a longer one", jsonType, `{"title":"` + strings.Repeat("é", maxTitle+1) + `"}`, "", 400},
		{"an empty title", jsonType, `{"title":""}`, "", 400},
		{"a blank title", jsonType, `{"title":"  "}`, "", 400},
		{"a line break", jsonType, `{"title":"a\nb"}`, "", 400},
		{"null", jsonType, `{"title":null}`, "", 400},
		{"a number", jsonType, `{"title":1}`, "", 400},
		{"another case is another member", jsonType, `{"TITLE":"x"}`, defaultTitle, 0},
		{"not JSON", jsonType, `title=x`, "", 400},
		{"cut off", jsonType, `{"title":"x"`, "", 400},
		{"cut off in a string", jsonType, `{"title":"x`, "", 400},
		{"a trailing comma", jsonType, `{"title":"x",}`, "", 400},
		{"an array", jsonType, `[]`, "", 400},
		{"a string", jsonType, `"x"`, "", 400},
		{"two objects", jsonType, `{}{}`, "", 400},
		{"something after", jsonType, `{} x`, "", 400},
		{"a member twice", jsonType, `{"title":"x","title":"y"}`, "", 400},
		{"a member twice, once escaped", jsonType, `{"title":"x","\u0074itle":"y"}`, "", 400},
		{"invalid UTF-8", jsonType, "{\"title\":\"\xff\"}", "", 400},
		{"deeply nested", jsonType, `{"x":` + strings.Repeat("[", 12000), "", 400},
		{"too large", jsonType, `{"title":"x"}` + strings.Repeat(" ", maxBodyBytes), "", 413},
		{"no content type", "", `{"title":"x"}`, "", 415},
		{"a form", "application/x-www-form-urlencoded", "title=x", "", 415},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/items/", strings.NewReader(tt.body))
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			got, err := readTitle(httptest.NewRecorder(), r)
			if tt.status != 0 {
				var bad *badBody
				if !errors.As(err, &bad) || bad.status != tt.status || bad.detail == "" {
					t.Fatalf("got %q, %v; want status %d", got, err, tt.status)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Fatalf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"title":"x"}`, `{"a":1,"a":2}`, `[`, `{"a":{"b":[1,null]}} `, "\xff", ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		members, err := readObject(body)
		var bad *badBody
		if err != nil && (!errors.As(err, &bad) || bad.status != 400) {
			t.Fatalf("%q: %v", body, err)
		}
		if err == nil && members == nil {
			t.Fatalf("%q: no members and no error", body)
		}
	})
}
