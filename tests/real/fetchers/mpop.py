"""mpop: fetches into an mbox with each of its login methods, pipelined if the server allows it."""

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
pipelining auto
received_header off
uidls_file {test.work}/uidls-{auth}
keep {keep}
delivery mbox {test.work}/mbox-{auth}
account default : proxy
"""


def check(test):
    config = test.work / "mpoprc"
    config.touch(0o600)
    starttls = "on" if test.security == "starttls" else "off"
    for auth, keep in (("user", "on"), ("plain", "off")):
        config.write_text(CONFIG.format(test=test, starttls=starttls, auth=auth, keep=keep))
        run(["mpop", "--file", config], env=test.environment())
        text = (test.work / f"mbox-{auth}").read_text()
        test.assertIn("Subject: first", text)
        test.assertIn("Subject: second", text)
        test.assertIn("\n.\n..\n.a dot first\n", text)
    test.assert_logged_out("del=2/2")
    test.assertEqual(test.subjects(), [])
