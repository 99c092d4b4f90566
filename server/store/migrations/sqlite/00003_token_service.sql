-- +goose Up

-- Clients as JSON, with the hashes of their secrets.
CREATE TABLE clients (
    id       TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts the changes of clients, so that a server knows when to read them again.
CREATE TABLE client_changes (
    count INTEGER NOT NULL
) STRICT;

INSERT INTO client_changes (count) VALUES (0);

-- +goose StatementBegin
CREATE TRIGGER client_inserted AFTER INSERT ON clients BEGIN
    UPDATE client_changes SET count = count + 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER client_updated AFTER UPDATE ON clients BEGIN
    UPDATE client_changes SET count = count + 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER client_deleted AFTER DELETE ON clients BEGIN
    UPDATE client_changes SET count = count + 1;
END;
-- +goose StatementEnd

-- The assertions (RFC 7523) that clients have used, until they expire.
CREATE TABLE used_assertions (
    client_id  TEXT NOT NULL,
    jti        TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, jti)
) STRICT, WITHOUT ROWID;

CREATE INDEX used_assertions_expires_at ON used_assertions (expires_at);

-- Logins. A time that is 0 has not come.
CREATE TABLE sessions (
    id                TEXT NOT NULL PRIMARY KEY,
    account_id        TEXT NOT NULL,
    client_id         TEXT NOT NULL,
    scope             TEXT NOT NULL,
    audience          TEXT NOT NULL,
    amr               TEXT NOT NULL,
    created_at        INTEGER NOT NULL,
    last_used_at      INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL,
    idle_expires_at   INTEGER NOT NULL,
    access_expires_at INTEGER NOT NULL,
    revoked_at        INTEGER NOT NULL,
    revoked_reason    TEXT NOT NULL,
    client_ip         TEXT NOT NULL,
    user_agent        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_client_id ON sessions (client_id);

-- Refresh tokens by their SHA-256. A successor is encrypted, and there for a short
-- time only.
CREATE TABLE refresh_tokens (
    hash       BLOB NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    successor  BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_session_id ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_successor ON refresh_tokens (used_at) WHERE successor IS NOT NULL;

-- Whatever goes wrong: no session has two tokens that were not used yet.
CREATE UNIQUE INDEX refresh_tokens_unused ON refresh_tokens (session_id) WHERE used_at = 0;

-- What the gate refuses before it expires: the ids of tokens and sessions.
CREATE TABLE revocations (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (kind, id)
) STRICT;

CREATE INDEX revocations_expires_at ON revocations (expires_at);

-- The audit log.
CREATE TABLE events (
    id          TEXT NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL,
    action      TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    actor_kind  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id   TEXT NOT NULL,
    client_ip   TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    details     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX events_at ON events (at);
CREATE INDEX events_account_id ON events (account_id, at) WHERE account_id <> '';
