// A provider's submission server that differs from Dovecot: smtp-server, with only STARTTLS and
// XOAUTH2, which asks the OAuth server about each token.
//
// Arguments: CERTIFICATE KEY INTROSPECTION_URL DIRECTORY. The first line on standard output is the
// port. Each accepted mail becomes a file in DIRECTORY, its content byte for byte, and a line
// `{"sender", "recipients", "file"}`. The process ends with its standard input.

import { createWriteStream, readFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { SMTPServer } from "smtp-server";

const [certificate, key, introspection, directory] = process.argv.slice(2);
let taken = 0;

/** Whose token it is, or undefined where the OAuth server does not know it. */
async function owner(token) {
  const url = new URL(introspection);
  const secret = Buffer.from(`${url.username}:${url.password}`).toString("base64");
  url.username = url.password = "";
  const answer = await fetch(url, {
    method: "POST",
    headers: { authorization: `Basic ${secret}` },
    body: new URLSearchParams({ token }),
  });
  const said = await answer.json();
  return said.active ? said.email : undefined;
}

async function signIn({ username, accessToken }) {
  if (username && (await owner(accessToken)) === username) return { user: username };
  // The challenge that Google sends.
  return { data: { status: "401", schemes: "bearer", scope: "mail" } };
}

async function take(stream, { envelope }) {
  const file = join(directory, `${(taken += 1)}.eml`);
  await pipeline(stream, createWriteStream(file));
  const sender = envelope.mailFrom.address;
  const recipients = envelope.rcptTo.map(({ address }) => address);
  console.log(JSON.stringify({ sender, recipients, file }));
}

/** smtp-server's handlers end in a callback. */
const calling = (handler) => (...args) => {
  const callback = args.pop();
  handler(...args).then((result) => callback(null, result), callback);
};

const server = new SMTPServer({
  cert: readFileSync(certificate),
  key: readFileSync(key),
  authMethods: ["XOAUTH2"],
  onAuth: calling(signIn),
  onData: calling(take),
});
server.on("error", (error) => console.error(error));
server.listen(0, "127.0.0.1");
await once(server.server, "listening");
console.log(server.server.address().port);

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
