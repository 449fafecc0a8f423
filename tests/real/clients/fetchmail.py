"""fetchmail: collects both messages, hands them to a program, deletes them on the server. It never appends."""

from parts.child import run

CONFIG = """
set no bouncemail
poll {test.host} service {test.port} protocol imap auth password
  username "{test.user}" password "{test.password}"
  ssl sslcertck sslcertfile "{test.ca}"
  nokeep fetchall mda "tee -a {collected}"
"""


def check(test):
    collected = test.work / "collected"
    config = test.work / "fetchmailrc"
    config.write_text(CONFIG.format(test=test, collected=collected))
    config.chmod(0o600)
    run(["fetchmail", "--fetchmailrc", config, "--nodetach"], env=test.environment(FETCHMAILHOME=test.work))
    text = collected.read_text()
    test.assertIn("Subject: first", text)
    test.assertIn("Subject: second", text)
    test.assert_logged_out()
    test.assertEqual(test.subjects(), {})
