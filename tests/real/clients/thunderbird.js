// Thunderbird's own calls, one function for each action of a user with one account.

const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");

/** Thunderbird learns the CA and the password, and gets the account that the settings of the proxy describe. */
async function account(ca, host, port, user, password) {
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(ca, "C,,");
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    login.init(`imap://${host}`, null, `imap://${host}`, user, password, "", "");
    await Services.logins.addLoginAsync(login);
    const server = MailServices.accounts.createIncomingServer(user, host, "imap");
    server.port = port;
    server.socketType = Ci.nsMsgSocketType.SSL;
    server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
    // "Remove it immediately": deleted messages go to no trash folder.
    server.QueryInterface(Ci.nsIImapIncomingServer).deleteModel = Ci.nsMsgImapDeleteModels.DeleteNoTrash;
    const identity = MailServices.accounts.createIdentity();
    identity.email = user;
    const account = MailServices.accounts.createAccount();
    account.incomingServer = server;
    account.addIdentity(identity);
    await update();
}

/** What Thunderbird tells the user, first, while `start` does something that cannot succeed; the user sees it no more. */
async function alertOf(start) {
    let listener;
    const told = new Promise(resolve => {
        listener = {
            QueryInterface: ChromeUtils.generateQI(["nsIMsgUserFeedbackListener"]),
            onAlert(text) {
                resolve(text);
                return true;
            },
            onCertError() {},
        };
        MailServices.mailSession.addUserFeedbackListener(listener);
    });
    const failed = start().then(() => Promise.reject(new Error("it has succeeded")), error => String(error));
    const text = await told;
    await failed;
    MailServices.mailSession.removeUserFeedbackListener(listener);
    return text;
}

function inbox() {
    const server = MailServices.accounts.allServers.find(candidate => candidate.type == "imap");
    return server.rootFolder.getChildNamed("INBOX").QueryInterface(Ci.nsIMsgImapMailFolder);
}

function find(subject) {
    return [...inbox().messages].find(header => header.mime2DecodedSubject == subject);
}

/** Asks the server. */
function update() {
    return finished(listener => inbox().updateFolderWithListener(null, listener));
}

/** The message as the server has it. */
async function source(subject) {
    const uri = inbox().getUriForMsg(find(subject));
    let text = "";
    await new Promise((resolve, reject) => {
        const listener = {
            QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
            onStartRequest() {},
            onDataAvailable(_request, input, _offset, count) {
                const stream = Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream);
                stream.init(input);
                text += stream.read(count);
            },
            onStopRequest: (_request, status) => settle(status, resolve, reject),
        };
        MailServices.messageServiceFromURI(uri).streamMessage(uri, listener, null, null, false, "", false);
    });
    return text;
}

async function append(text) {
    const file = Services.dirsvc.get("ProfD", Ci.nsIFile);
    file.append("appended.eml");
    await IOUtils.writeUTF8(file.path, text);
    await new Promise((resolve, reject) => {
        const listener = {
            QueryInterface: ChromeUtils.generateQI(["nsIMsgCopyServiceListener"]),
            onStartCopy() {},
            onProgress() {},
            setMessageKey() {},
            getMessageId: () => null,
            onStopCopy: status => settle(status, resolve, reject),
        };
        MailServices.copy.copyFileMessage(file, inbox(), null, false, 0, "", listener, null);
    });
}

async function flag(subject) {
    inbox().markMessagesFlagged([find(subject)], true);
    await update();
}

async function remove(subject) {
    inbox().deleteMessages([find(subject)], null, true, false, null, false);
    await finished(listener => inbox().expunge(listener, null));
}

/** Waits until the message is there, without asking for it. */
function comes(subject) {
    return new Promise(resolve => {
        const listener = {
            QueryInterface: ChromeUtils.generateQI(["nsIFolderListener"]),
            onFolderAdded() {},
            onMessageAdded: look,
        };
        function look() {
            if (!find(subject)) return;
            MailServices.mailSession.RemoveFolderListener(listener);
            resolve();
        }
        MailServices.mailSession.AddFolderListener(listener, Ci.nsIFolderListener.added);
        look();
    });
}

/** Starts what reports to an nsIUrlListener, and waits for its end. */
function finished(start) {
    return new Promise((resolve, reject) => {
        start({
            QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
            OnStartRunningUrl() {},
            OnStopRunningUrl: (_url, status) => settle(status, resolve, reject),
        });
    });
}

function settle(status, resolve, reject) {
    if (Components.isSuccessCode(status)) resolve();
    else reject(new Error(`0x${status.toString(16)}`));
}

/** Thunderbird learns the CA, and makes the account of an autoconfig file as its New Account does with one on its disk. */
async function accountFrom(ca, text, user, password) {
    const module = name => ChromeUtils.importESModule(`resource:///modules/${name}.sys.mjs`);
    const { JXON } = module("JXON");
    const { readFromXML } = module("accountcreation/readFromXML");
    const { AccountConfig } = module("accountcreation/AccountConfig");
    const { CreateInBackend } = module("accountcreation/CreateInBackend");
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(ca, "C,,");
    const config = readFromXML(JXON.build(new DOMParser().parseFromString(text, "text/xml")), "disk");
    AccountConfig.replaceVariables(config, "Alice", user, password);
    config.rememberPassword = true;
    const { defaultIdentity } = await CreateInBackend.createAccountInBackend(config);
    // No copy for a Sent folder: the mailbox is looked at as it is.
    defaultIdentity.doFcc = false;
    await update();
    return config.isComplete();
}
