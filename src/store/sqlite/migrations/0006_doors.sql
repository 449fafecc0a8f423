-- An app password may be limited: to doors (their names, with commas between), to source networks (with blanks
-- between) and to a last day (UTC, YYYY-MM-DD). NULL is no limit. Those of before opened IMAP, the only door that
-- there was, and open no other one now.
ALTER TABLE passwords ADD COLUMN protocols TEXT;
ALTER TABLE passwords ADD COLUMN networks TEXT;
ALTER TABLE passwords ADD COLUMN last_day TEXT;
UPDATE passwords SET protocols = 'imap';

-- An account that lets nobody in, until it is enabled again.
ALTER TABLE accounts ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
-- Whose name the provider's submission server took: 'owner' or 'account'.
ALTER TABLE accounts ADD COLUMN submission_user TEXT;
-- What the provider refused last in a session that was signed in: all five columns, or none. Cause and cure are JSON,
-- as in src/trouble.rs.
ALTER TABLE accounts ADD COLUMN refusal_at INTEGER;
ALTER TABLE accounts ADD COLUMN refusal_protocol TEXT;
ALTER TABLE accounts ADD COLUMN refusal_code TEXT;
ALTER TABLE accounts ADD COLUMN refusal_cause TEXT;
ALTER TABLE accounts ADD COLUMN refusal_cure TEXT;
