-- What the administrator was last told about a grant, and who is telling until when.
ALTER TABLE grants ADD COLUMN told TEXT;
ALTER TABLE grants ADD COLUMN telling_until INTEGER;
