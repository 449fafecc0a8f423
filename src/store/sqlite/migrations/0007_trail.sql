-- What upkeep and events look at again, and when. A write that may change the answer puts a negative number there, another
-- each time: the grant is due at once, and a process that worked out a time from the row of before does not
-- overwrite it.
ALTER TABLE grants ADD COLUMN upkeep_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN news_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX grants_by_upkeep ON grants (upkeep_at);
CREATE INDEX grants_by_news ON grants (news_at);

CREATE TRIGGER grant_written AFTER UPDATE OF revision, provider, state, access_expires_at, failed_at,
    retry_at, authorized_at, refreshed_at, refresh_expires_at ON grants BEGIN
    UPDATE grants SET upkeep_at = -1 - (random() & 0xffffffffff), news_at = -1 - (random() & 0xffffffffff)
    WHERE id = new.id;
END;
CREATE TRIGGER grant_told AFTER UPDATE OF told ON grants BEGIN
    UPDATE grants SET news_at = -1 - (random() & 0xffffffffff) WHERE id = new.id;
END;
CREATE TRIGGER account_moved AFTER UPDATE OF grant_id, disabled ON accounts BEGIN
    UPDATE grants SET upkeep_at = -1 - (random() & 0xffffffffff), news_at = -1 - (random() & 0xffffffffff)
    WHERE id IN (old.grant_id, new.grant_id);
END;
-- A login makes an idle grant one in use. Once an hour is enough: use is counted in days.
CREATE TRIGGER account_used AFTER UPDATE OF last_login_at ON accounts
WHEN old.last_login_at IS NULL OR new.last_login_at - old.last_login_at NOT BETWEEN 0 AND 3600 BEGIN
    UPDATE grants SET upkeep_at = -1 - (random() & 0xffffffffff) WHERE id = new.grant_id;
END;

-- Lists go through the accounts by name, page by page.
CREATE INDEX accounts_by_name ON accounts (name);

-- What was done to this installation, by whom, and what people were told. Names and no secret. `accounts` are names,
-- as a JSON array; `surface` is where it was done; `user` and `uid` are the operating system's, where there are any.
CREATE TABLE trail (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    deed TEXT NOT NULL,
    accounts TEXT NOT NULL,
    about TEXT,
    surface TEXT NOT NULL,
    user TEXT,
    uid INTEGER
) STRICT;
CREATE INDEX trail_by_time ON trail (at);
