package admin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
)

// Attributes are any JSON. Their numbers are kept as they were written, which
// encoding/json can do.

func attributesText(attributes map[string]any) (jsontext.Value, error) {
	if len(attributes) == 0 {
		return jsontext.Value(`{}`), nil
	}
	return json.Marshal(attributes)
}

func readAttributes(text jsontext.Value) (map[string]any, error) {
	if len(text) == 0 {
		return nil, nil
	}
	if text.Kind() != '{' {
		return nil, fault(http.StatusBadRequest, `"attributes" must be an object`)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	attributes := map[string]any{}
	return attributes, decoder.Decode(&attributes)
}
