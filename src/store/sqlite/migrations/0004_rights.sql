-- A person's grant is in force while it has a refresh token. An application's needs none: it had a mark in its
-- place, and now has a column of its own.
ALTER TABLE grants ADD COLUMN app_in_force INTEGER NOT NULL DEFAULT 0;
UPDATE grants SET app_in_force = 1, refresh_token = NULL WHERE kind = 'app' AND refresh_token IS NOT NULL;
ALTER TABLE grants ADD COLUMN in_force INTEGER
    GENERATED ALWAYS AS (CASE kind WHEN 'app' THEN app_in_force ELSE refresh_token IS NOT NULL END) VIRTUAL;
