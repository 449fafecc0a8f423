"""NeoMutt without a terminal, as scripts use it: it writes the message, and sends it by its own SMTP."""

from letter import ATTACHMENT, RECIPIENTS, SENDER, TEXT
from parts.child import run

CONFIG = """
set from = "{sender}"
set smtp_url = "{scheme}://{test.user}@{test.host}:{test.port}/"
set smtp_pass = "{test.password}"
set ssl_force_tls = yes
set ssl_ca_certificates_file = "{test.ca}"
set certificate_file = ""
set copy = no
"""


def check(test):
    config = test.work / "neomuttrc"
    scheme = "smtps" if test.security == "tls" else "smtp"
    config.write_text(CONFIG.format(test=test, scheme=scheme, sender=SENDER))
    file = test.work / "scan.bin"
    file.write_bytes(ATTACHMENT)
    to, bcc = RECIPIENTS
    run(
        ["neomutt", "-F", config, "-s", test.subject, "-b", bcc, "-a", file, "--", to],
        stdin=TEXT.encode(),
        env=test.environment(),
    )
    test.assert_arrived_as_written()
