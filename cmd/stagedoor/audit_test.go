package main

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/server/account"
)

func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		text string
		want time.Time // zero: refused
	}{
		"date":            {"2026-11-01", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)},
		"date and time":   {"2026-11-01 10:30:00", time.Date(2026, 11, 1, 10, 30, 0, 0, time.UTC)},
		"RFC 3339":        {"2026-11-01T10:30:00.5+02:00", time.Date(2026, 11, 1, 8, 30, 0, 5e8, time.UTC)},
		"hours ago":       {"1h30m", time.Date(2026, 11, 28, 10, 30, 0, 0, time.UTC)},
		"days ago":        {"7d", time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)},
		"to come":         {text: "-1h"},
		"days to come":    {text: "-1d"},
		"no time at all":  {text: "0s"},
		"no days":         {text: "0d"},
		"too many days":   {text: "200000d"},
		"days and hours":  {text: "1d12h"},
		"half a day":      {text: "0.5d"},
		"a word":          {text: "yesterday"},
		"nothing":         {text: ""},
		"only a unit":     {text: "d"},
		"no such day":     {text: "2026-02-30"},
		"another country": {text: "28.11.2026"},
	} {
		t.Run(name, func(t *testing.T) {
			var m moment
			err := m.UnmarshalText([]byte(test.text))
			if got := m.time(now); (err != nil) != test.want.IsZero() || !got.Equal(test.want) {
				t.Errorf("%q is %v, %v, want %v", test.text, got, err, test.want)
			}
		})
	}
}

func TestDetailsAreToldApart(t *testing.T) {
	event := account.Event{Reason: "credentials", Details: map[string]string{
		"empty": "", "scope": "a b", "username": `x" admin=yes`, "plain": "items:read",
	}}
	const want = `account:carol reason=credentials plain=items:read scope="a b" username="x\" admin=yes"`
	if got := details(event, "account:carol"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
