"""Dovecot in the foreground on free ports, with its mail where the tests can see it.

`Dovecot.with_tokens` is the provider of the tests: it accepts only XOAUTH2 and
OAUTHBEARER, and checks each token by introspection at the OAuth server.
`Dovecot.with_password` accepts a password for any user: the control group, which
shows that a mail program's script works without the proxy.

Both also have POP3 and the submission service, each on a port with TLS and on one with
STARTTLS. They send accepted mail on to a sink.
"""

import grp
import os
import pwd
import shutil
from pathlib import Path

from .child import Child, free_port

CONFIG = """
protocols = imap pop3 submission
listen = 127.0.0.1
base_dir = {root}/run
state_dir = {root}/state
log_path = /dev/stderr
auth_verbose = yes
instance_name = {name}

ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}

mail_location = maildir:~/Maildir
# Keep line ends unchanged: appended messages are compared byte for byte.
mail_save_crlf = yes
first_valid_uid = 1
mail_max_userip_connections = 1000
namespace inbox {{
  inbox = yes
  separator = /
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%u
}}

# Refusals are answered at once and are not held against 127.0.0.1, where every test comes from.
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}

service pop3-login {{
  inet_listener pop3 {{
    port = {pop3_starttls_port}
  }}
  inet_listener pop3s {{
    port = {pop3_tls_port}
    ssl = yes
  }}
}}

hostname = relay.test
submission_relay_host = 127.0.0.1
submission_relay_port = {relay_port}
submission_relay_ssl = no
submission_max_mail_size = 200M
service submission-login {{
  inet_listener submission {{
    port = {starttls_port}
  }}
  inet_listener submissions {{
    port = {tls_port}
    ssl = yes
  }}
}}
"""

# Without root, Dovecot cannot change its user or root directory.
UNPRIVILEGED = """
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
}}
service pop3-login {{
  chroot =
}}
service submission-login {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

TOKENS = """
auth_mechanisms = xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {root}/oauth2.conf
}}
"""

INTROSPECTION = """
introspection_mode = post
introspection_url = {url}
force_introspection = yes
active_attribute = active
active_value = true
username_attribute = email
timeout_msecs = 10000
"""

PASSWORD = """
auth_mechanisms = plain login
passdb {{
  driver = static
  args = password={password}
}}
"""


class Dovecot:
    """`host`, `port` (IMAP), `pop3` and `submission` (a port for `tls` and one for `starttls`) and `ca` are for clients.

    `deliver` and `messages` go past the server to files of `owner`; what is sent arrives in `sink`.
    """

    host = "localhost"

    @classmethod
    def with_tokens(cls, root: Path, authority, sink, introspection_url):
        root.mkdir()
        (root / "oauth2.conf").write_text(INTROSPECTION.format(url=introspection_url))
        return cls(root, authority, sink, TOKENS.format(root=root))

    @classmethod
    def with_password(cls, root: Path, authority, sink, password):
        root.mkdir()
        return cls(root, authority, sink, PASSWORD.format(password=password))

    def __init__(self, root, authority, sink, authentication):
        self.ca = authority.ca
        self.sink = sink
        self._mail = root / "mail"
        owner = _mail_owner()
        self.owner, self._uid, self._gid = owner.pw_name, owner.pw_uid, owner.pw_gid
        for directory in (root / "run", root / "state", self._mail):
            directory.mkdir()
        os.chown(self._mail, self._uid, self._gid)
        # The mail processes run as another user and need access through this directory.
        root.chmod(0o755)

        self._config = root / "dovecot.conf"
        self._template = CONFIG + authentication.replace("{", "{{").replace("}", "}}")
        if os.geteuid() != 0:
            self._template += UNPRIVILEGED
        self._values = {
            "root": root,
            "name": root.name,
            "certificate": authority.certificate,
            "key": authority.key,
            "uid": self._uid,
            "gid": self._gid,
            "user": self.owner,
            "group": grp.getgrgid(os.getegid()).gr_name,
        }
        # Another program may take a port before Dovecot binds it.
        for attempt in range(3):
            self.port = free_port()
            self.pop3 = {"tls": free_port(), "starttls": free_port()}
            self.submission = {"tls": free_port(), "starttls": free_port()}
            self._config.write_text(
                self._template.format(
                    port=self.port,
                    pop3_tls_port=self.pop3["tls"],
                    pop3_starttls_port=self.pop3["starttls"],
                    tls_port=self.submission["tls"],
                    starttls_port=self.submission["starttls"],
                    relay_port=sink.port,
                    **self._values,
                )
            )
            try:
                self.start()
                return
            except AssertionError:
                if attempt == 2:
                    raise

    def start(self):
        """Starts, or starts again on the same ports with the same mail."""
        self._child = Child(["dovecot", "-F", "-c", self._config])
        # Dovecot's sockets listen before its first log line.
        try:
            self._child.err.wait_for(lambda line: "starting up for imap" in line)
        except AssertionError:
            self._child.kill()
            raise

    def stop(self):
        self._child.stop()

    def log(self):
        return self._child.err.text()

    def log_position(self):
        return self._child.err.count()

    def wait_for_log(self, text, since=0):
        return self._child.err.wait_for(lambda line: text in line, since)

    def empty(self, account):
        """Removes all of the account's mail, as if the account had never logged in."""
        shutil.rmtree(self._mail / account, ignore_errors=True)

    def deliver(self, account, message: bytes, name):
        """Puts a message into the account's INBOX as a delivery agent would."""
        home = self._mail / account
        box = home / "Maildir"
        for part in (home, box, box / "cur", box / "new", box / "tmp"):
            if not part.exists():
                part.mkdir()
                os.chown(part, self._uid, self._gid)
        draft = box / "tmp" / name
        draft.write_bytes(message)
        os.chown(draft, self._uid, self._gid)
        draft.rename(box / "new" / name)

    def files(self, account, folder="INBOX"):
        """The files of a folder's messages, to rename or remove as another mail program would."""
        box = self._mail / account / "Maildir"
        if folder != "INBOX":
            box /= "." + folder.replace("/", ".")
        return sorted((box / "new").glob("*")) + sorted((box / "cur").glob("*"))

    def messages(self, account, folder="INBOX"):
        """The messages of a folder: `[(flags, content)]`, flags in Maildir's letters (`S` seen, `F` flagged …)."""
        return [(file.name.partition(":2,")[2], file.read_bytes()) for file in self.files(account, folder)]


def _mail_owner():
    """Dovecot reads no mail as root, so in root's tests the mail belongs to the user `nobody`."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
