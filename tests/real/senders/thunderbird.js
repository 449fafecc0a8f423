// Thunderbird's own calls for an account that only sends.

const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");

/** Thunderbird learns the CA and the password, and gets the outgoing server that the settings of the proxy describe. */
async function outgoing(ca, host, port, security, user, password) {
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(ca, "C,,");
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    login.init(`smtp://${host}`, null, `smtp://${host}`, user, password, "", "");
    await Services.logins.addLoginAsync(login);
    const server = MailServices.outgoingServer.createServer("smtp");
    server.username = user;
    server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
    const { SSL, alwaysSTARTTLS } = Ci.nsMsgSocketType;
    server.socketType = security == "tls" ? SSL : alwaysSTARTTLS;
    const smtp = server.QueryInterface(Ci.nsISmtpServer);
    smtp.hostname = host;
    smtp.port = port;
    const identity = MailServices.accounts.createIdentity();
    identity.email = user;
    identity.smtpServerKey = server.key;
    // No copy for a Sent folder: this account has none.
    identity.doFcc = false;
    const account = MailServices.accounts.createAccount();
    account.incomingServer = MailServices.accounts.createIncomingServer("nobody", "Local Folders", "none");
    account.addIdentity(identity);
}

/** Writes a message and presses Send; ends when the server has taken it. */
async function send(to, bcc, subject, text, file) {
    const account = MailServices.accounts.accounts.find(candidate => candidate.defaultIdentity);
    const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
    fields.from = account.defaultIdentity.email;
    fields.to = to;
    fields.bcc = bcc;
    fields.subject = subject;
    fields.forcePlainText = true;
    const attachment = Cc["@mozilla.org/messengercompose/attachment;1"].createInstance(Ci.nsIMsgAttachment);
    attachment.url = `file://${file}`;
    attachment.name = "scan.bin";
    attachment.contentType = "application/octet-stream";
    fields.addAttachment(attachment);
    await new Promise((resolve, reject) => {
        const listener = {
            QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener"]),
            onStartSending() {},
            onProgress() {},
            onStatus() {},
            onGetDraftFolderURI() {},
            onSendNotPerformed: (_id, status) => reject(failure(status)),
            onTransportSecurityError: (_id, status) => reject(failure(status)),
            onStopSending: (_id, status) => (Components.isSuccessCode(status) ? resolve() : reject(failure(status))),
        };
        const { nsIMsgCompDeliverMode, nsIMsgCompType } = Ci;
        const sender = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
        sender
            .createAndSendMessage(
                null, account.defaultIdentity, account.key, fields, false, false, nsIMsgCompDeliverMode.Now, null,
                "text/plain", text, null, null, listener, "", "", nsIMsgCompType.New,
            )
            .catch(reject);
    });
}

function failure(status) {
    return new Error(`0x${status.toString(16)}`);
}
