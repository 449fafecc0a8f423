-- How many messages a device has sent in the hour that began with the first of them. `network` is where the device is,
-- as the configuration says.
CREATE TABLE device_messages (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    network TEXT NOT NULL,
    since INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (account_id, network)
) STRICT;
