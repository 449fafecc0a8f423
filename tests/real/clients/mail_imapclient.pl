# Perl's Mail::IMAPClient, as imapsync and many home-made collectors use it.

use strict;
use warnings;
use IO::Socket::SSL;
use Mail::IMAPClient;

my ($host, $port, $user, $password, $ca) = @ARGV;

my $client = Mail::IMAPClient->new(
    Server   => $host,
    Port     => $port,
    User     => $user,
    Password => $password,
    Ssl      => [SSL_ca_file => $ca, SSL_verify_mode => IO::Socket::SSL::SSL_VERIFY_PEER()],
    Uid      => 1,
) or die "login: $@\n";

sub done { $_[0] // die "$_[1]: " . $client->LastError . "\n" }

my $folders = done(scalar $client->folders, "list");
die "no INBOX among @$folders\n" unless grep { $_ eq "INBOX" } @$folders;
done($client->select("INBOX"), "select");
my @messages = $client->messages;
die "expected two messages, not @messages\n" unless @messages == 2;

binmode STDOUT;
binmode STDIN;
print done($client->message_string($messages[0]), "fetch");

done($client->append_string("INBOX", do { local $/; <STDIN> }), "append");
done($client->store($messages[0], "+FLAGS", "(\\Flagged)"), "flag");
done($client->delete_message($messages[1]), "delete");
done($client->expunge, "expunge");
done($client->logout, "logout");
