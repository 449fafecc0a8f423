-- An app password may be limited: to doors (their names, with commas between), to source networks (with blanks
-- between) and to a last day (UTC, YYYY-MM-DD). NULL is no limit. Those of before opened IMAP, the only door that
-- there was, and open no other one now.
ALTER TABLE passwords ADD COLUMN protocols TEXT;
ALTER TABLE passwords ADD COLUMN networks TEXT;
ALTER TABLE passwords ADD COLUMN last_day TEXT;
UPDATE passwords SET protocols = 'imap';

-- An account that lets no mail program in, until it is enabled again.
ALTER TABLE accounts ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
-- Whose name the provider's submission server took: 'owner' or 'account'.
ALTER TABLE accounts ADD COLUMN submission_user TEXT;
-- What the mail servers of the provider have against an account, one by one: a JSON object of one member a door, each
-- with "cause" and "cure" as in src/trouble.rs, "count", "at" and "retry_at". What was there came from IMAP.
ALTER TABLE accounts ADD COLUMN troubles TEXT NOT NULL DEFAULT '{}';
UPDATE accounts SET troubles = json_object('imap', json_object(
        'trouble', json_object(
            'cause', json_object('kind', 'mailbox_refused', 'text', trouble),
            'cure', json(coalesce(trouble_cure, '{"kind":"unknown"}'))),
        'count', coalesce(trouble_count, 0), 'at', coalesce(trouble_at, 0), 'retry_at', coalesce(trouble_retry_at, 0)))
    WHERE trouble IS NOT NULL;
ALTER TABLE accounts DROP COLUMN trouble;
ALTER TABLE accounts DROP COLUMN trouble_cure;
ALTER TABLE accounts DROP COLUMN trouble_count;
ALTER TABLE accounts DROP COLUMN trouble_at;
ALTER TABLE accounts DROP COLUMN trouble_retry_at;
-- What the provider refused last in a session that was signed in: all five columns, or none. Cause and cure are JSON,
-- as in src/trouble.rs.
ALTER TABLE accounts ADD COLUMN refusal_at INTEGER;
ALTER TABLE accounts ADD COLUMN refusal_protocol TEXT;
ALTER TABLE accounts ADD COLUMN refusal_code TEXT;
ALTER TABLE accounts ADD COLUMN refusal_cause TEXT;
ALTER TABLE accounts ADD COLUMN refusal_cure TEXT;
