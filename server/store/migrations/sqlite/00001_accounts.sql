-- +goose Up

-- Times are microseconds since 1970 in UTC; roles and attributes are JSON.
CREATE TABLE accounts (
    id            TEXT NOT NULL PRIMARY KEY,
    username      TEXT NOT NULL,
    email         TEXT NOT NULL,
    full_name     TEXT NOT NULL,
    roles         TEXT NOT NULL,
    disabled      INTEGER NOT NULL,
    attributes    TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The canonical usernames and e-mail addresses, in one namespace.
CREATE TABLE identities (
    identity   TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX identities_account_id ON identities (account_id);

-- What the login throttle remembers: failures under a hashed key, or (failures
-- being 0) a success.
CREATE TABLE login_marks (
    mark        TEXT NOT NULL PRIMARY KEY,
    failures    INTEGER NOT NULL,
    happened_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_marks_happened_at ON login_marks (happened_at);

CREATE TABLE signing_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    algorithm  TEXT NOT NULL,
    secret     BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
