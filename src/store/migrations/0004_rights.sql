-- Whether a grant is in force has a column of its own. Before, a refresh token said so, and an application's
-- grant held a mark in its place. A person's grant in force has a refresh token; no other grant has one.
ALTER TABLE grants ADD COLUMN in_force INTEGER CHECK (
    CASE in_force WHEN 0 THEN refresh_token IS NULL WHEN 1 THEN (refresh_token IS NULL) = (kind = 'app') END
);
UPDATE grants SET
    in_force = refresh_token IS NOT NULL,
    refresh_token = CASE kind WHEN 'app' THEN NULL ELSE refresh_token END;
