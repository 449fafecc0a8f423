-- Entrances and sessions of the page, and consents under way: sealed, found by the hash of a token, for a limited time.
CREATE TABLE short_lived (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    sealed BLOB NOT NULL,
    used_at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT;
