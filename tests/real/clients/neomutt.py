"""NeoMutt on a pseudo terminal, with scripted keys.

One run copies a message from a local folder to the server, which appends it
there; another run reads, flags and deletes on the server.
"""

import fcntl
import os
import pty
import struct
import subprocess
import termios

from parts.child import DEADLINE

from world import message

from .mbsync import unix

CONFIG = """
set folder = "imaps://{test.host}:{test.port}/"
set imap_user = "{test.user}"
set imap_pass = "{test.password}"
set spoolfile = "+INBOX"
set ssl_ca_certificates_file = "{test.ca}"
set certificate_file = ""
set confirmappend = no
set mail_check_stats = no
set sort = mailbox-order
set wait_key = no
set pipe_decode = no
set delete = yes
set quit = yes
"""


def check(test):
    config = test.work / "neomuttrc"
    config.write_text(CONFIG.format(test=test))
    env = test.environment(TERM="xterm")

    def neomutt(folder, *keys):
        push = "".join(keys) + "<sync-mailbox><quit>"
        on_terminal(["neomutt", "-F", str(config), "-f", folder, "-e", f'push "{push}"'], env)

    draft = test.work / "drafts"
    draft.write_bytes(b"From bob Mon Jan  1 12:00:00 2024\n" + unix(message("written")))
    neomutt(str(draft), "<copy-message>+INBOX<enter>")
    test.assertEqual(test.subjects().keys(), {"first", "second", "written"})

    fetched = test.work / "fetched"
    neomutt("+INBOX", f"<first-entry><pipe-message>cat >{fetched}<enter>", "<flag-message>2<enter><delete-message>")
    test.assertIn("Subject: first", fetched.read_text())
    # NeoMutt sends LOGOUT and disconnects without waiting for the answer.
    test.assert_all_done("Disconnected:")


def on_terminal(argv, env):
    """Runs a full-screen program to its end on a pseudo terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    screen = []
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True) as program:
        os.close(theirs)
        try:
            # Reading fails with EIO after the program has closed its end.
            while chunk := os.read(ours, 65536):
                screen.append(chunk)
        except OSError:
            pass
        finally:
            os.close(ours)
        code = program.wait(DEADLINE)
    assert code == 0, f"{argv[0]} ended with {code}:\n{b''.join(screen).decode('utf-8', 'replace')}"
