-- Times are seconds since 1970 UTC. Names are kept as given beside their case-folded form.
CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    provider TEXT NOT NULL,
    owner TEXT NOT NULL,
    owner_folded TEXT NOT NULL,
    scopes TEXT NOT NULL,
    refresh_token BLOB,
    access_token BLOB,
    access_expires_at INTEGER,
    state TEXT NOT NULL,
    last_error TEXT,
    failed_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER,
    authorized_at INTEGER NOT NULL,
    refreshed_at INTEGER,
    refresh_expires_at INTEGER,
    interrupted_at INTEGER,
    lease_holder TEXT,
    lease_taken_at INTEGER,
    lease_until INTEGER,
    UNIQUE (provider, owner_folded)
) STRICT;

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    grant_id TEXT REFERENCES grants (id) ON DELETE SET NULL,
    last_login_at INTEGER,
    last_login_from TEXT,
    -- What the provider's mail server has against it: all four, or none.
    trouble TEXT,
    trouble_count INTEGER,
    trouble_at INTEGER,
    trouble_retry_at INTEGER
) STRICT;

CREATE INDEX accounts_of_grant ON accounts (grant_id);

-- Every name that opens an account: its own and its aliases.
CREATE TABLE login_names (
    folded TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX login_names_of_account ON login_names (account_id);

CREATE TABLE passwords (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    generated BLOB,
    chosen TEXT,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    last_used_from TEXT,
    UNIQUE (account_id, name),
    CHECK ((generated IS NULL) <> (chosen IS NULL))
) STRICT;

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
