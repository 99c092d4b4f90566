-- +goose Up

-- A key signs from activate_at until retire_at, and verifies until expires_at;
-- where the latter two are 0, no successor is known yet. max_lifetime is how long
-- a token that it has signed may live, in microseconds. secret is encrypted where
-- sealed is 1, and empty once the key has expired.
ALTER TABLE signing_keys ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN activate_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN retire_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN max_lifetime INTEGER NOT NULL DEFAULT 0;

UPDATE signing_keys SET activate_at = created_at;
