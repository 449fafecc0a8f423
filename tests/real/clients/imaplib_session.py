"""Python's imaplib, with IDLE written by hand, because this version lacks it."""

from world import message


def check(test):
    client = test.dial(test)
    client.login(test.user, test.password)
    status, folders = client.list()
    test.assertEqual(status, "OK")
    test.assertTrue(any(line.endswith(b"INBOX") for line in folders), folders)
    test.assertEqual(client.select("INBOX"), ("OK", [b"2"]))

    test.assertEqual(client.fetch("1", "(BODY.PEEK[])")[1][0][1], message("first"))
    test.assertEqual(client.search(None, "SUBJECT", "second"), ("OK", [b"2"]))
    test.assertEqual(client.append("INBOX", None, None, message("written"))[0], "OK")
    test.assertEqual(client.store("1", "+FLAGS", r"(\Flagged)")[0], "OK")
    test.assertEqual(client.store("2", "+FLAGS", r"(\Deleted)")[0], "OK")
    test.assertEqual(client.expunge(), ("OK", [b"2"]))

    idle(test, client)
    client.logout()
    test.assert_all_done()


def idle(test, client):
    client.send(b"idle1 IDLE\r\n")
    while not client.readline().startswith(b"+"):
        pass
    test.mailbox.deliver(test.user, message("news"), "3.test.localhost")
    while not client.readline().endswith(b" EXISTS\r\n"):
        pass
    client.send(b"DONE\r\n")
    while not (line := client.readline()).startswith(b"idle1 "):
        pass
    test.assertTrue(line.startswith(b"idle1 OK"), line)
