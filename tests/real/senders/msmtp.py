"""msmtp, the sendmail of cron jobs and mutt."""

from letter import RECIPIENTS, SENDER, letter
from parts.child import run

CONFIG = """
account proxy
host {test.host}
port {test.port}
tls on
tls_starttls {starttls}
tls_trust_file {test.ca}
auth {auth}
user {test.user}
password {test.password}
from {sender}
account default : proxy
"""


def check(test):
    config = test.work / "msmtprc"
    config.touch(0o600)
    starttls = "on" if test.security == "starttls" else "off"
    for auth in ("on", "login"):
        config.write_text(CONFIG.format(test=test, starttls=starttls, auth=auth, sender=SENDER))
        # A mailbox file and cron have line ends without CR.
        draft = letter().replace(b"\r\n", b"\n")
        run(["msmtp", "--file", config, *RECIPIENTS], stdin=draft, env=test.environment())
        test.assert_arrived()
