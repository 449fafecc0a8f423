// Nodemailer: see scripts.py for its input.

import { readFileSync } from "node:fs";
import nodemailer from "nodemailer";

const [host, port, security, user, pass, ca] = process.argv.slice(2);
const { attachment, ...wanted } = JSON.parse(readFileSync(0, "utf8"));

const transport = nodemailer.createTransport({
  host,
  port: Number(port),
  secure: security === "tls",
  requireTLS: true,
  auth: { user, pass },
  tls: { ca: readFileSync(ca) },
});
await transport.sendMail({
  ...wanted,
  attachments: [{ filename: "scan.bin", content: attachment, encoding: "base64" }],
});
transport.close();
