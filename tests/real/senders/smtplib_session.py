"""Python's smtplib, as in scripts and in Django: several messages on one connection."""

import smtplib
import ssl

from letter import RECIPIENTS, SENDER, letter
from parts.child import DEADLINE


def check(test):
    trust = ssl.create_default_context(cafile=str(test.ca))
    if test.security == "tls":
        client = smtplib.SMTP_SSL(test.host, test.port, context=trust, timeout=DEADLINE)
    else:
        client = smtplib.SMTP(test.host, test.port, timeout=DEADLINE)
    with client:
        if test.security == "starttls":
            client.starttls(context=trust)
        client.login(test.user, test.password)
        for _ in range(2):
            test.assertEqual(client.sendmail(SENDER, RECIPIENTS, letter(), ["BODY=8BITMIME"]), {})
            test.assert_arrived()
