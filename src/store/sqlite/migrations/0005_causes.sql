-- What is wrong and what mends it are two things: the text holds the cause, `cure` what mends it (JSON, as in
-- src/trouble.rs). Until now both stood in one line, in which {account} was the account that it is shown for.
ALTER TABLE grants ADD COLUMN cause_kind TEXT;
ALTER TABLE grants ADD COLUMN cause_code TEXT;
ALTER TABLE grants ADD COLUMN cure TEXT;
ALTER TABLE accounts ADD COLUMN trouble_cure TEXT;

WITH split AS (
    SELECT id, last_error AS line, CASE
        WHEN instr(last_error, '); ') > 0 THEN instr(last_error, '); ') + 1
        ELSE instr(last_error, '; ')
    END AS semicolon
    FROM grants WHERE last_error IS NOT NULL
), parts AS (
    SELECT id,
        CASE semicolon WHEN 0 THEN line ELSE substr(line, 1, semicolon - 1) END AS cause,
        CASE semicolon WHEN 0 THEN NULL ELSE substr(line, semicolon + 2) END AS cure
    FROM split
), found AS (
    SELECT *, instr(cure, 'imap-oauth-proxy authorize {account}') AS command FROM parts
)
UPDATE grants SET last_error = replace(found.cause, '{account}', grants.owner), cure = CASE
        WHEN found.cure IS NULL THEN NULL
        WHEN found.command > 0 THEN json_object(
            'kind', 'authorize',
            'before', substr(found.cure, 1, found.command - 1),
            'after', substr(found.cure, found.command + length('imap-oauth-proxy authorize {account}')))
        ELSE json_object('kind', 'advice', 'text', replace(found.cure, '{account}', grants.owner))
    END
FROM found WHERE found.id = grants.id;
