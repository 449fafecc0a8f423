"""swaks, with which administrators test a mail server by hand."""

from letter import RECIPIENTS, SENDER, letter
from parts.child import run


def check(test):
    draft = test.work / "draft.eml"
    # swaks adds a line end after the data.
    draft.write_bytes(letter().removesuffix(b"\r\n"))
    tls = "--tls-on-connect" if test.security == "tls" else "--tls"
    for auth in ("PLAIN", "LOGIN"):
        run(
            ["swaks", "--server", f"{test.host}:{test.port}", tls, "--tls-verify", "--tls-ca-path", test.ca]
            + ["--auth", auth, "--auth-user", test.user, "--auth-password", test.password]
            + ["--from", SENDER, "--to", ",".join(RECIPIENTS), "--data", f"@{draft}", "--suppress-data"],
            env=test.environment(),
        )
        test.assert_arrived()
