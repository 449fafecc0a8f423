"""Behind HAProxy and nginx, with and without the PROXY protocol, for reading and for sending."""

import http.server
import imaplib
import smtplib
import ssl
import threading
import time

from letter import RECIPIENTS, SENDER, letter
from parts.balancer import Balancer
from parts.child import DEADLINE
from world import ALICE, BehindAProxy

# The clients' address; the balancers are at 127.0.0.1.
CLIENT = "127.0.0.5"


class ImapFrom(imaplib.IMAP4_SSL):
    """imaplib, from a chosen address."""

    def _create_socket(self, timeout):
        import socket

        plain = socket.create_connection((self.host, self.port), timeout, source_address=(CLIENT, 0))
        return self.ssl_context.wrap_socket(plain, server_hostname=self.host)


class Balanced(BehindAProxy):
    def sends_through(self):
        return self.dovecot, "tls"

    def balance(self, balancer):
        self.addCleanup(balancer.stop)
        return balancer

    def haproxy(self, behind, options):
        return self.balance(Balancer.haproxy(self.work, behind, options))

    def nginx(self, behind, header="on"):
        return self.balance(Balancer.nginx(self.work, behind, header))

    def read_through(self, balancer, password):
        trust = ssl.create_default_context(cafile=str(self.proxy.ca))
        client = ImapFrom("localhost", balancer.port, ssl_context=trust, timeout=DEADLINE)
        self.addCleanup(client.sock.close)
        client.login(ALICE, password)
        self.assertEqual(client.select("INBOX")[0], "OK")
        client.logout()

    def send_through(self, balancer, password):
        trust = ssl.create_default_context(cafile=str(self.proxy.ca))
        client = smtplib.SMTP("localhost", balancer.port, timeout=DEADLINE, source_address=(CLIENT, 0))
        self.addCleanup(client.close)
        client.starttls(context=trust)
        client.login(ALICE, password)
        client.sendmail(SENDER, RECIPIENTS, letter(), ["BODY=8BITMIME"])
        client.quit()
        self.assertEqual(self.world.sink.next().as_sent(), letter())

    def assert_named(self, protocol):
        """The login line names the client and not the balancer."""
        self.proxy.wait_for_log(f"login result=ok protocol={protocol} account={ALICE} from={CLIENT} ")


class Believed(Balanced):
    proxy_options = {"listener": 'proxy_protocol = ["127.0.0.1/32"]'}

    def test_haproxy_with_version_1(self):
        password = self.authorize_and_serve()
        self.read_through(self.haproxy(self.proxy.port, "send-proxy"), password)
        self.assert_named("imap")
        self.send_through(self.haproxy(self.proxy.submission["starttls"], "send-proxy"), password)
        self.assert_named("submission")

    def test_haproxy_with_version_2_and_its_fields(self):
        password = self.authorize_and_serve()
        options = "send-proxy-v2 proxy-v2-options unique-id,crc32c"
        self.read_through(self.haproxy(self.proxy.port, options), password)
        self.assert_named("imap")
        self.send_through(self.haproxy(self.proxy.submission["starttls"], "send-proxy-v2-ssl-cn"), password)
        self.assert_named("submission")

    def test_haproxys_health_checks_are_no_news(self):
        password = self.authorize_and_serve()
        balancer = self.haproxy(self.proxy.port, "send-proxy-v2 check inter 50ms")
        self.proxy.wait_for_log("speaks for itself, to see whether the port is open")
        self.read_through(balancer, password)
        balancer.stop()
        self.assertNotIn(" WARN ", self.proxy.log())

    def test_nginx(self):
        password = self.authorize_and_serve()
        self.read_through(self.nginx(self.proxy.port), password)
        self.assert_named("imap")
        self.send_through(self.nginx(self.proxy.submission["starttls"]), password)
        self.assert_named("submission")

    def test_a_balancer_that_sends_no_header_is_named(self):
        self.authorize_and_serve()
        for balancer in (self.haproxy(self.proxy.port, ""), self.nginx(self.proxy.port, "off")):
            with self.assertRaises((OSError, imaplib.IMAP4.error)):
                self.read_through(balancer, "any")
            balancer.stop()
        self.proxy.wait_for_log("127.0.0.1 stands in proxy_protocol and sent no PROXY protocol header")


class Readiness(http.server.BaseHTTPRequestHandler):
    """Answers `status`, and counts who asks for what."""

    status = 503

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *words):
        pass


class OfCompose(Balanced):
    """The configuration that packaging/compose.yaml uses."""

    proxy_options = Believed.proxy_options

    def test_an_instance_that_is_ready_gets_the_clients_addresses(self):
        self.proxy.config.write_text('metrics.address = "127.0.0.1:0"\n' + self.proxy.config.read_text())
        password = self.authorize_and_serve()
        ready = self.proxy.ready["metrics"].rsplit(":", 1)[1].rstrip("/")
        balancer = self.balance(Balancer.of_compose(self.work, self.proxy.port, ready))
        # Long enough for several checks.
        for _ in range(8):
            self.read_through(balancer, password)
        self.assert_named("imap")
        self.assertNotIn(" WARN ", self.proxy.log())

    def test_an_instance_that_is_not_ready_gets_no_connection(self):
        password = self.authorize_and_serve()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Readiness)
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        balancer = self.balance(Balancer.of_compose(self.work, self.proxy.port, server.server_port))
        end = time.monotonic() + DEADLINE
        while len(server.asked) < 4 and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(set(server.asked), {"/readyz"})
        with self.assertRaises((OSError, imaplib.IMAP4.error)):
            self.read_through(balancer, password)


class NotAskedFor(Balanced):
    NAMED = "this is a PROXY protocol header from 127.0.0.1; set proxy_protocol to that address"

    def test_without_headers_the_balancer_is_the_client(self):
        password = self.authorize_and_serve()
        self.read_through(self.haproxy(self.proxy.port, ""), password)
        self.proxy.wait_for_log(f"login result=ok protocol=imap account={ALICE} from=127.0.0.1 ")

    def test_a_header_that_was_not_asked_for_is_named(self):
        self.authorize_and_serve()
        for options in ("send-proxy", "send-proxy-v2"):
            before = self.proxy.log().count(self.NAMED)
            balancer = self.haproxy(self.proxy.port, options)
            with self.assertRaises((OSError, imaplib.IMAP4.error)):
                self.read_through(balancer, "any")
            balancer.stop()
            self.assertGreater(self.proxy.log().count(self.NAMED), before)
        balancer = self.nginx(self.proxy.submission["starttls"])
        with self.assertRaises((OSError, smtplib.SMTPException)):
            self.send_through(balancer, "any")
        self.assertGreaterEqual(self.proxy.log().count(self.NAMED), 3)
