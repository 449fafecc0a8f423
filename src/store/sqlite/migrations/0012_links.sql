-- The sign-in link of an account, for the person who has to consent again. A link is found by the SHA-256 of its token,
-- and repeated from the sealed token. `link_begun` counts the consents that were begun with it. The link before it stays
-- good for a while, because a person may open yesterday's mail. `alerted_at` is when a mail program was last told that
-- the grant will end.
ALTER TABLE accounts ADD COLUMN link_hash BLOB;
ALTER TABLE accounts ADD COLUMN link_sealed BLOB;
ALTER TABLE accounts ADD COLUMN link_made_at INTEGER;
ALTER TABLE accounts ADD COLUMN link_begun INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN link_before_hash BLOB;
ALTER TABLE accounts ADD COLUMN link_before_made_at INTEGER;
ALTER TABLE accounts ADD COLUMN link_before_begun INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN alerted_at INTEGER;
CREATE INDEX accounts_by_link ON accounts (link_hash) WHERE link_hash NOT NULL;
CREATE INDEX accounts_by_link_before ON accounts (link_before_hash) WHERE link_before_hash NOT NULL;
