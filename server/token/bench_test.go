package token

import (
	"testing"
	"time"
)

// BenchmarkVerify is one verification by each algorithm.
func BenchmarkVerify(b *testing.B) { benchmarkVerify(b, -1) }

// BenchmarkVerifyKnown is the same for a token that was verified before.
func BenchmarkVerifyKnown(b *testing.B) { benchmarkVerify(b, 0) }

func benchmarkVerify(b *testing.B, cacheBytes int64) {
	for _, algorithm := range Algorithms() {
		b.Run(algorithm, func(b *testing.B) {
			keyring, err := OpenKeyring(b.Context(), &memoryStore{}, KeyringOptions{Algorithm: algorithm})
			if err != nil {
				b.Fatal(err)
			}
			raw, _, _, err := keyring.Mint(Registered{
				Issuer: testIssuer, Subject: "01A", Audience: []string{testAudience}, ClientID: "c",
				Scope: []string{"a", "b"}, Roles: []string{"r"}, Lifetime: time.Hour,
			}, nil)
			if err != nil {
				b.Fatal(err)
			}
			verifier := NewVerifier(keyring, VerifierOptions{Issuer: testIssuer, Audience: testAudience, CacheBytes: cacheBytes})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(b.Context(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
