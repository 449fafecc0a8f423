-- Bearer tokens for the API. A token is found by the SHA-256 of its text, which is stored nowhere.
CREATE TABLE api_tokens (
    name TEXT PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    read_only INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
