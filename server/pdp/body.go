package pdp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/stagedoor/stagedoor/server/authz"
)

const (
	// maxBodyBytes bounds a body.
	maxBodyBytes = 1 << 20
	// maxDepth bounds how deep its values are nested.
	maxDepth = 64
)

// readBody reads a body that is one JSON object.
func readBody(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	if values := r.Header.Values("Content-Type"); len(values) != 1 || !isJSON(values[0]) {
		return nil, invalid("send the body as Content-Type: application/json")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return nil, invalid("send the body without Content-Encoding")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &fault{status: http.StatusRequestEntityTooLarge, detail: "the body is larger than 1 MiB"}
		}
		return nil, invalid("the body could not be read to its end")
	}
	return parseBody(text)
}

func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == "application/json"
}

// parseBody reads I-JSON (RFC 7493): valid UTF-8, no member twice. Numbers stay as
// they were written.
func parseBody(text []byte) (map[string]any, error) {
	if !jsontext.Value(text).IsValid() {
		return nil, invalid("the body is not one JSON value in UTF-8 without members that come twice")
	}
	if err := checkTokens(text); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, invalid("the body is not JSON")
	}
	body, ok := value.(map[string]any)
	if !ok {
		return nil, invalid("the body must be a JSON object")
	}
	return body, nil
}

// checkTokens bounds depth and numbers in JSON that is valid.
func checkTokens(text []byte) error {
	for decoder := jsontext.NewDecoder(bytes.NewReader(text)); ; {
		token, err := decoder.ReadToken()
		switch {
		case err != nil:
			return nil // the end
		case decoder.StackDepth() > maxDepth:
			return invalid("the body is nested deeper than %d levels", maxDepth)
		case token.Kind() == '0':
			if err := checkNumber(token.String()); err != nil {
				return err
			}
		}
	}
}

// checkNumber refuses what the policy could not compute with, or not cheaply.
func checkNumber(text string) error {
	if len(text) > authz.MaxNumber {
		return invalid("the body has a number that is longer than %d bytes", authz.MaxNumber)
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		return invalid("the body has a number that is too large")
	}
	return nil
}
