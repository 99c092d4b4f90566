package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// span is a duration on the command line: as Go has it, or in days, such as 7d.
type span time.Duration

// UnmarshalText reads one.
func (s *span) UnmarshalText(text []byte) error {
	duration, err := parseSpan(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 30m, 24h or 7d", text)
	}
	*s = span(duration)
	return nil
}

func (s span) duration() time.Duration { return time.Duration(s) }

func parseSpan(text string) (time.Duration, error) {
	const day, most = 24 * time.Hour, 36500
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err == nil && (n < -most || n > most) {
			err = fmt.Errorf("%d days are more than %d", n, most)
		}
		return time.Duration(n) * day, err
	}
	return time.ParseDuration(text)
}

// moment is a time on the command line; a duration counts back from now.
type moment struct {
	at  time.Time
	ago time.Duration
}

// UnmarshalText reads RFC 3339, a date, or a duration.
func (m *moment) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			*m = moment{at: at}
			return nil
		}
	}
	ago, err := parseSpan(string(text))
	if err != nil || ago <= 0 {
		return fmt.Errorf("%q is neither a date such as 2026-11-01, a time such as 2026-11-01T12:00:00Z, nor how long ago, such as 24h or 7d", text)
	}
	*m = moment{ago: ago}
	return nil
}

// time is the moment; zero where none was given.
func (m moment) time(now time.Time) time.Time {
	if m.ago > 0 {
		return now.Add(-m.ago)
	}
	return m.at
}
