package account

import (
	"crypto/rand"
	"io"
	"log/slog"
	"time"
)

// What options mean that were left out.

func orDiscard(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return logger
}

func orTimeNow(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

func orCryptoRand(random io.Reader) io.Reader {
	if random == nil {
		return rand.Reader
	}
	return random
}
