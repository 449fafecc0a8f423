"""Programs that people write in PHP, Perl and Node: each script here runs a whole session.

They take `HOST PORT USER PASSWORD CA`, read the message to append from standard
input, and print the fetched message `first` to standard output.
"""

from pathlib import Path

from parts.child import run

from world import message

HERE = Path(__file__).resolve().parent


def php(test):
    # PHP's extension uses OpenSSL's default trust and has no setting for it.
    session(test, ["php", HERE / "imap.php"], SSL_CERT_FILE=test.ca)


def perl(test):
    session(test, ["perl", HERE / "mail_imapclient.pl"])


def node(test):
    session(test, ["node", HERE / "imapflow.mjs"])


def session(test, interpreter, **environment):
    arguments = [test.host, test.port, test.user, test.password, test.ca]
    done = run([*interpreter, *arguments], stdin=message("written"), env=test.environment(**environment))
    test.assertEqual(done.stdout, message("first"))
    test.assert_all_done()
