//go:build !race

package server_test

const manyLogins = 200

const raceEnabled = false
