//go:build race

package server_test

// manyLogins is fewer than 200 under the race detector, which makes a hash take
// ten times as long.
const manyLogins = 40

// raceEnabled: streams are shorter.
const raceEnabled = true
