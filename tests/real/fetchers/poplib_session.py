"""Python's poplib: USER and PASS, and each of its commands."""


def check(test):
    client = test.dial_pop3(test.server, test.security)
    client.user(test.user)
    client.pass_(test.password)
    count, octets = client.stat()
    test.assertEqual(count, 2)
    test.assertGreater(octets, len(test.first))
    test.assertIn("TOP", client.capa())
    test.assertEqual(len(client.list()[1]), 2)
    test.assertEqual(len(client.uidl()[1]), 2)
    test.assertEqual(b"\r\n".join(client.retr(1)[1]) + b"\r\n", test.first)
    test.assertIn(b"Subject: second", client.top(2, 0)[1])
    client.dele(1)
    client.rset()
    client.dele(2)
    client.noop()
    client.quit()
    test.assert_logged_out("del=1/2")
    test.assertEqual(test.subjects(), ["first"])
