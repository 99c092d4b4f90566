package token

// Inspect shows what a token says. It verifies nothing: neither the signature,
// nor the type, nor any claim, so what it returns must never be acted on. Numbers
// are [json.Number].
//
// It fails, as [Verifier.Verify] does, on what is not a well-formed token: the
// error unwraps to [authz.TokenMalformed].
func Inspect(raw string) (header, claims map[string]any, err error) {
	p, err := decode(raw)
	if err != nil {
		return nil, nil, err
	}
	if header, err = scanAndDecode(p.header); err != nil {
		return nil, nil, err
	}
	if claims, err = scanAndDecode(p.claims); err != nil {
		return nil, nil, err
	}
	return header, claims, nil
}

func scanAndDecode(text []byte) (map[string]any, error) {
	if err := scanObject(text, nil); err != nil {
		return nil, err
	}
	return decodeObject(text)
}
