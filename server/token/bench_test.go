package token

import (
	"testing"
	"time"
)

// BenchmarkVerify is one verification by each algorithm.
func BenchmarkVerify(b *testing.B) {
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
			verifier := NewVerifier(keyring, VerifierOptions{Issuer: testIssuer, Audience: testAudience})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(b.Context(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
