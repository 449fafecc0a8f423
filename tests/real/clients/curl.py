"""curl: one command in each connection, `AUTHENTICATE PLAIN` with and without an initial response."""

from parts.child import run

from world import message


def check(test):
    def curl(path, *arguments):
        url = f"imaps://{test.host}:{test.port}/{path}"
        secret = ["--cacert", test.ca, "--user", f"{test.user}:{test.password}"]
        return run(["curl", "--silent", "--show-error", *secret, *arguments, url]).stdout

    for initial_response in (["--sasl-ir"], []):
        test.assertIn(b"INBOX\r\n", curl("", "--login-options", "AUTH=PLAIN", *initial_response))
    test.assertIn(b"* 2 EXISTS\r\n", curl("", "--request", "EXAMINE INBOX"))
    test.assertEqual(curl("INBOX;MAILINDEX=1"), message("first"))

    draft = test.work / "draft.eml"
    draft.write_bytes(message("written"))
    curl("INBOX", "--upload-file", draft)
    curl("INBOX", "--request", r"STORE 1 +FLAGS (\Flagged)")
    curl("INBOX", "--request", r"STORE 2 +FLAGS (\Deleted)")
    curl("INBOX", "--request", "EXPUNGE")
    test.assert_all_done()
