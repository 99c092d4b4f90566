package account

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// sealPurpose binds the derived key to what it is for (RFC 5869 section 3.2).
const sealPurpose = "stagedoor refresh token successor"

// seal encrypts a refresh token's successor so that only who presents the token can
// read it: the key is derived from the token's text, of which the store has nothing
// but a hash.
func seal(token, successor string, random io.Reader) ([]byte, error) {
	aead, err := sealer(token)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(successor)+aead.Overhead())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("sealing a refresh token: %w", err)
	}
	return aead.Seal(nonce, nonce, []byte(successor), nil), nil
}

// open decrypts what seal has made.
func open(token string, sealed []byte) (string, error) {
	aead, err := sealer(token)
	if err != nil {
		return "", err
	}
	if len(sealed) < aead.NonceSize() {
		return "", errors.New("opening a refresh token: the store has only a part of it")
	}
	successor, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	if err != nil {
		return "", fmt.Errorf("opening a refresh token: %w", err)
	}
	return string(successor), nil
}

func sealer(token string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(token), nil, sealPurpose, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return chacha20poly1305.NewX(key)
}
