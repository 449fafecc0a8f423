// ImapFlow, as programs on Node use it.

import { readFileSync } from "node:fs";
import { ImapFlow } from "imapflow";

const [host, port, user, pass, ca] = process.argv.slice(2);

const client = new ImapFlow({
  host,
  port: Number(port),
  secure: true,
  auth: { user, pass },
  tls: { ca: readFileSync(ca) },
  logger: false,
});
await client.connect();

const folders = (await client.list()).map((folder) => folder.path);
if (!folders.includes("INBOX")) throw new Error(`no INBOX among ${folders}`);

const inbox = await client.mailboxOpen("INBOX");
if (inbox.exists !== 2) throw new Error(`expected two messages, not ${inbox.exists}`);
const { source } = await client.fetchOne("1", { source: true });
process.stdout.write(source);

await client.append("INBOX", readFileSync(0));
await client.messageFlagsAdd("1", ["\\Flagged"]);
await client.messageDelete("2");
await client.logout();
