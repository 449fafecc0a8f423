"""curl: one command in each connection; its default, AUTH PLAIN with and without an initial response, AUTH LOGIN."""

from letter import RECIPIENTS, SENDER, letter
from parts.child import run


def check(test):
    draft = test.work / "draft.eml"
    draft.write_bytes(letter())
    scheme = "smtps" if test.security == "tls" else "smtp"
    login = "--login-options"
    for ways in ([], [login, "AUTH=PLAIN", "--sasl-ir"], [login, "AUTH=PLAIN"], [login, "AUTH=LOGIN"]):
        run(
            ["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", test.ca]
            + ["--user", f"{test.user}:{test.password}", *ways, "--mail-from", SENDER]
            + [word for recipient in RECIPIENTS for word in ("--mail-rcpt", recipient)]
            + ["--upload-file", draft, f"{scheme}://{test.host}:{test.port}"],
            env=test.environment(),
        )
        test.assert_arrived()
