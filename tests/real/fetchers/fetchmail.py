"""fetchmail: fetches both messages, hands them to a program, deletes them on the server."""

import os

from parts.child import run

CONFIG = """
set no bouncemail
poll {test.host} service {test.port} protocol pop3 auth password
  username "{test.user}" password "{test.password}"
  {tls} sslcertck sslcertfile "{test.ca}"
  nokeep fetchall mda "tee -a {collected}"
"""


# The exit codes of fetchmail.
WRONG_PASSWORD = 3
BUSY = 9


def ends_with(test, host, port, user, password, ca):
    """The exit code of one fetch with TLS."""
    config = test.work / "fetchmailrc"
    lines = f'''set no bouncemail
poll {host} service {port} protocol pop3 auth password
  username "{user}" password "{password}"
  ssl sslcertck sslcertfile "{ca}"
  keep mda "cat"
'''
    config.write_text(lines)
    config.chmod(0o600)
    clean = {"HOME": str(test.work), "FETCHMAILHOME": str(test.work), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = run(["fetchmail", "--fetchmailrc", config, "--nodetach"], env=clean, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def check(test):
    collected = test.work / "collected"
    config = test.work / "fetchmailrc"
    # Without `ssl` fetchmail begins in cleartext, and `sslproto` makes it require STLS.
    tls = "ssl" if test.security == "tls" else 'sslproto "TLS1.2+"'
    config.write_text(CONFIG.format(test=test, collected=collected, tls=tls))
    config.chmod(0o600)
    run(["fetchmail", "--fetchmailrc", config, "--nodetach"], env=test.environment(FETCHMAILHOME=test.work))
    text = collected.read_text()
    test.assertIn("Subject: first", text)
    test.assertIn("Subject: second", text)
    test.assertIn("\n.\n..\n.a dot first\n", text)
    test.assert_logged_out("del=2/2")
    test.assertEqual(test.subjects(), [])
