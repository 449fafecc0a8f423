"""Postfix as a machine's mail server that sends all mail to a smarthost.

Its configuration and queue are in the test's directory, and its port is free. The
settings under "To the smarthost" are those of docs/sending.md.
"""

import os
import smtplib

from letter import RECIPIENTS, SENDER, letter
from parts.child import DEADLINE, Child, free_port, run

MAIN = """
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
daemon_directory = /usr/lib/postfix/sbin
maillog_file = /dev/stdout
myhostname = erp.corp.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.1

# To the smarthost
relayhost = [127.0.0.1]:{test.port}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = localhost
smtp_tls_CAfile = {test.ca}
smtp_tls_wrappermode = {wrappermode}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:{root}/etc/sasl_passwd
smtp_sasl_security_options = noanonymous
smtp_sasl_auth_soft_bounce = yes
smtp_destination_concurrency_limit = 2
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60   1 pickup
cleanup   unix  n - n -    0 cleanup
qmgr      unix  n - n 300  1 qmgr
tlsmgr    unix  - - n 1000 1 tlsmgr
rewrite   unix  - - n -    - trivial-rewrite
bounce    unix  - - n -    0 bounce
defer     unix  - - n -    0 bounce
trace     unix  - - n -    0 bounce
proxymap  unix  - - n -    - proxymap
smtp      unix  - - n -    - smtp
error     unix  - - n -    - error
retry     unix  - - n -    - error
anvil     unix  - - n -    1 anvil
scache    unix  - - n -    1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

# Postfix changes to its own user, which only root can do.
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


def check(test):
    postfix = Postfix(test, test.work / "postfix")
    test.addCleanup(postfix.stop)
    for _ in range(2):
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=DEADLINE) as client:
            client.sendmail(SENDER, RECIPIENTS, letter(), ["BODY=8BITMIME"])
        test.assert_arrived()
    postfix.wait_for_log("status=sent")


class Postfix:
    """A running instance. The machine's programs send their mail to `port`."""

    def __init__(self, test, root):
        for directory in (root / "etc", root / "spool", root / "data"):
            directory.mkdir(parents=True)
        self.port = free_port()
        wrappermode = "yes" if test.security == "tls" else "no"
        config = root / "etc"
        (config / "main.cf").write_text(MAIN.format(test=test, root=root, wrappermode=wrappermode))
        (config / "master.cf").write_text(MASTER.format(port=self.port))
        (config / "sasl_passwd").write_text(f"[127.0.0.1]:{test.port} {test.user}:{test.password}\n")
        # Postfix refuses a configuration or a queue that does not belong to root.
        run([*AS_ROOT, "chown", "-R", "root", config, root / "spool"])
        run([*AS_ROOT, "chown", "postfix", root / "data"])
        self._root = root
        self._postfix = [*AS_ROOT, "postfix", "-c", config]
        self._child = Child([*self._postfix, "start-fg"])
        self.wait_for_log("daemon started")

    def wait_for_log(self, text):
        return self._child.out.wait_for(lambda line: text in line)

    def log(self):
        return self._child.out.text()

    def stop(self):
        # Postfix's master has its own session, so ending the child does not end the master.
        run([*self._postfix, "stop"], check=False)
        self._child.kill()
        # Only root can remove root's files.
        run([*AS_ROOT, "rm", "-rf", self._root])
