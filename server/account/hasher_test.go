package account_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/account"
)

func TestDefaultHash(t *testing.T) {
	hasher := account.NewHasher(account.HasherOptions{Rand: strings.NewReader("0123456789abcdef")})
	hash, err := hasher.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"; !strings.HasPrefix(hash, want) {
		t.Errorf("got %s, want it to begin with %s", hash, want)
	}
	if hasher.NeedsRehash(hash) {
		t.Error("a fresh hash needs a rehash")
	}
	if ok, err := hasher.Verify(hash, "secret"); err != nil || !ok {
		t.Errorf("the password: %v, %v", ok, err)
	}
	if ok, err := hasher.Verify(hash, "Secret"); err != nil || ok {
		t.Errorf("another password: %v, %v", ok, err)
	}
	// The source of randomness has run dry.
	if _, err := hasher.Hash("secret"); err == nil {
		t.Error("made a hash without a salt")
	}
}

func TestHashesOfOtherPrograms(t *testing.T) {
	hasher := account.NewHasher(account.HasherOptions{MaxBcryptCost: 12})
	cases := []struct{ name, hash, password string }{
		// The article's own.
		{"passlib, bcrypt of cost 12", "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW", "secret"},
		// Test vectors of the reference implementations.
		{"OpenBSD, $2a$", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		{"PHP, $2y$", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		{"argon2 reference, argon2id", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"argon2 reference, argon2i", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA", "password"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if ok, err := hasher.Verify(tc.hash, tc.password); err != nil || !ok {
				t.Errorf("the password: %v, %v", ok, err)
			}
			if !hasher.NeedsRehash(tc.hash) {
				t.Error("would never be replaced")
			}
		})
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	tail := strings.Repeat("a", 53)
	cases := []struct{ name, hash string }{
		{"empty", ""},
		{"a plain password", "hunter2"},
		{"md5-crypt", "$1$salt$qJH7.N4xYta3aEG/dfqo/0"},
		{"django's pbkdf2", "pbkdf2_sha256$1000$salt$hash"},
		{"bcrypt of an unknown kind", "$2x$12$" + tail},
		{"bcrypt without a kind", "$2$12$" + tail},
		{"bcrypt cut short", "$2b$12$" + tail[1:]},
		{"bcrypt with a tail", "$2b$12$" + tail + "a"},
		{"bcrypt with a line break", "$2b$12$" + tail + "\n"},
		{"bcrypt with a strange character", "$2b$12$" + tail[1:] + "+"},
		{"bcrypt too cheap", "$2b$03$" + tail},
		{"bcrypt too costly", "$2b$13$" + tail},
		{"bcrypt of cost 31", "$2b$31$" + tail},
		{"argon2d", "$argon2d$v=19$m=65536,t=2,p=1$" + salt + "$" + sum},
		{"argon2 1.0", "$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + sum},
		{"argon2 without version", "$argon2id$m=65536,t=2,p=1$" + salt + "$" + sum},
		{"argon2 with a key id", "$argon2id$v=19$m=65536,t=2,p=1,keyid=x$" + salt + "$" + sum},
		{"argon2 in another order", "$argon2id$v=19$t=2,m=65536,p=1$" + salt + "$" + sum},
		{"argon2 with a leading zero", "$argon2id$v=19$m=065536,t=2,p=1$" + salt + "$" + sum},
		{"argon2 with t=0", "$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + sum},
		{"argon2 with p=0", "$argon2id$v=19$m=65536,t=2,p=0$" + salt + "$" + sum},
		{"argon2 with m below 8p", "$argon2id$v=19$m=15,t=2,p=2$" + salt + "$" + sum},
		{"argon2 of 4 GiB", "$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + sum},
		{"argon2 with too much work", "$argon2id$v=19$m=131072,t=3,p=1$" + salt + "$" + sum},
		{"argon2 with many passes", "$argon2id$v=19$m=8,t=100000,p=1$" + salt + "$" + sum},
		{"argon2 with many threads", "$argon2id$v=19$m=65536,t=1,p=255$" + salt + "$" + sum},
		{"argon2 with padding", "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "=$" + sum},
		{"argon2 with loose base64", "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + sum[:42] + "d"},
		{"argon2 with a short salt", "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$" + sum},
		{"argon2 with a short hash", "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + sum[:8]},
		{"argon2 of a megabyte", "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + strings.Repeat("A", 1<<20)},
	}
	hasher := account.NewHasher(account.HasherOptions{})
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			err := hasher.Check(tc.hash)
			if !errors.Is(err, account.ErrHash) {
				t.Fatalf("got %v, want ErrHash", err)
			}
			if len(tc.hash) > 10 && strings.Contains(err.Error(), tc.hash[len(tc.hash)-10:]) {
				t.Errorf("the message contains the hash: %v", err)
			}
			if ok, err := hasher.Verify(tc.hash, "secret"); ok || err == nil {
				t.Errorf("Verify: %v, %v", ok, err)
			}
			if !hasher.NeedsRehash(tc.hash) {
				t.Error("would be kept")
			}
		})
	}
}

func TestHasherOptionsStayWithinWhatIsAccepted(t *testing.T) {
	cases := []struct {
		name string
		opts account.HasherOptions
		want string
	}{
		{"too little memory", account.HasherOptions{Memory: 1, Time: 1, Parallelism: 2}, "m=16,t=1,p=2"},
		{"too many passes", account.HasherOptions{Memory: 8, Time: 1000}, "m=8,t=64,p=1"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			hasher := account.NewHasher(tc.opts)
			hash, err := hasher.Hash("secret")
			if err != nil || !strings.Contains(hash, tc.want) {
				t.Fatalf("got %s, %v, want %s", hash, err, tc.want)
			}
			if ok, err := hasher.Verify(hash, "secret"); err != nil || !ok {
				t.Errorf("its own hash: %v, %v", ok, err)
			}
		})
	}
}

func TestPasswords(t *testing.T) {
	cases := []struct {
		name, password string
		good, weak     bool
	}{
		{"empty", "", false, true},
		{"one letter", "x", true, true},
		{"seven letters of two bytes", "üüüüüüü", true, true},
		{"eight letters", "üüüüüüüü", true, false},
		{"1024 bytes", strings.Repeat("x", 1024), true, false},
		{"1025 bytes", strings.Repeat("x", 1025), false, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if err := account.CheckPassword(tc.password); (err == nil) != tc.good {
				t.Errorf("CheckPassword: %v", err)
			}
			if warning := account.WeakPassword(tc.password); (warning != "") != tc.weak {
				t.Errorf("WeakPassword: %q", warning)
			}
			if _, err := cheapHasher().Hash(tc.password); (err == nil) != tc.good {
				t.Errorf("Hash: %v", err)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	for _, seed := range []string{
		"$2b$04$" + strings.Repeat("a", 53), "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2i$", "$2", "",
	} {
		f.Add(seed)
	}
	// Nothing that is parsed may cost much more than it says, or panic.
	hasher := account.NewHasher(account.HasherOptions{MaxBcryptCost: 4})
	f.Fuzz(func(t *testing.T, hash string) {
		checked := hasher.Check(hash)
		if _, err := hasher.Verify(hash, "secret"); (err == nil) != (checked == nil) {
			t.Errorf("Check says %v and Verify %v", checked, err)
		}
	})
}
