-- +goose Up

-- Counts the changes of what the policy sees of accounts, so that a server knows
-- when what it remembers of them is no longer true. A new password is none.
CREATE TABLE account_changes (
    count INTEGER NOT NULL
) STRICT;

INSERT INTO account_changes (count) VALUES (0);

-- +goose StatementBegin
CREATE TRIGGER account_inserted AFTER INSERT ON accounts BEGIN
    UPDATE account_changes SET count = count + 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER account_deleted AFTER DELETE ON accounts BEGIN
    UPDATE account_changes SET count = count + 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER account_updated AFTER UPDATE ON accounts
WHEN OLD.id <> NEW.id OR OLD.username <> NEW.username OR OLD.roles <> NEW.roles OR OLD.disabled <> NEW.disabled OR OLD.attributes <> NEW.attributes
BEGIN
    UPDATE account_changes SET count = count + 1;
END;
-- +goose StatementEnd
