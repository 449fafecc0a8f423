-- An application's own grant is told from a person's.
ALTER TABLE grants ADD COLUMN kind TEXT NOT NULL DEFAULT 'person';

-- Answers to sign-ins that somebody else is waiting for: sealed, taken once, for a short time.
CREATE TABLE left_behind (
    key TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
