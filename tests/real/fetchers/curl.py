"""curl: one command in each connection, AUTH PLAIN with and without an initial response."""

from parts.child import run


def check(test):
    scheme = "pop3s" if test.security == "tls" else "pop3"

    def curl(path, *arguments):
        url = f"{scheme}://{test.host}:{test.port}/{path}"
        secret = ["--ssl-reqd", "--cacert", test.ca, "--user", f"{test.user}:{test.password}"]
        return run(["curl", "--silent", "--show-error", *secret, *arguments, url]).stdout

    for initial_response in (["--sasl-ir"], []):
        listed = curl("", "--login-options", "AUTH=PLAIN", *initial_response)
        test.assertEqual([line.split()[0] for line in listed.splitlines()], [b"1", b"2"])
    test.assertEqual(len(curl("", "--request", "UIDL").splitlines()), 2)
    test.assertEqual(curl("1"), test.first)
    curl("2", "--request", "DELE", "--head")
    test.assert_logged_out("del=1/2")
    test.assertEqual(test.subjects(), ["first"])
