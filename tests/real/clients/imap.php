<?php
// PHP's IMAP extension, as helpdesks and CRMs use it.

[, $host, $port, $user, $password] = $argv;

set_error_handler(function ($level, $text) {
    throw new ErrorException($text);
});

$server = "{{$host}:$port/imap/ssl}";
$mailbox = imap_open($server . "INBOX", $user, $password, 0, 1);

$folders = imap_list($mailbox, $server, "*");
if (!in_array($server . "INBOX", $folders)) {
    throw new Exception("no INBOX among " . implode(", ", $folders));
}
if (imap_num_msg($mailbox) !== 2) {
    throw new Exception("expected two messages, not " . imap_num_msg($mailbox));
}
echo imap_fetchheader($mailbox, 1), imap_body($mailbox, 1, FT_PEEK);

imap_append($mailbox, $server . "INBOX", stream_get_contents(STDIN));
imap_setflag_full($mailbox, "1", "\\Flagged");
imap_delete($mailbox, 2);
imap_expunge($mailbox);
imap_close($mailbox);

if ($complaints = imap_errors()) {
    throw new Exception(implode("\n", $complaints));
}
