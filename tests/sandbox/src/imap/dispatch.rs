//! Distributes the commands, and handles the small ones.

use super::parser::{self, Arg, Command};
use super::session::{End, Flow, Session};

impl Session {
    pub(super) async fn serve(&mut self, command: Command) -> Flow {
        if matches!(command.name.as_str(), "CAPABILITY" | "NOOP" | "LOGOUT" | "ID") {
            if command.name == "NOOP" {
                self.report_changes(true);
            }
            return self.serve_any_time(&command);
        }
        if self.user.as_ref().is_some_and(|user| !user.connected) {
            self.no(&command.tag, "BAD User is authenticated but not connected.");
            return Err(End::Bye("Connection closed. 14".to_owned()));
        }
        match command.name.as_str() {
            "LIST" if self.switches.refuse_list.is_some() => {
                let text = self.switches.refuse_list.clone().unwrap_or_default();
                self.no(&command.tag, &text);
            }
            "LIST" | "XLIST" | "LSUB" => self.list(command),
            "CREATE" | "DELETE" | "RENAME" | "SUBSCRIBE" | "UNSUBSCRIBE" => self.change_folders(command),
            "STATUS" => self.status(command),
            "NAMESPACE" => {
                self.transport.put_line("* NAMESPACE ((\"\" \"/\")) NIL NIL");
                self.done(&command);
            }
            "ENABLE" => self.enable(&command),
            "GETQUOTA" | "GETQUOTAROOT" => self.quota(&command),
            "SELECT" | "EXAMINE" => self.select(command),
            "CLOSE" | "UNSELECT" | "CHECK" | "EXPUNGE" => self.tidy(&command),
            "FETCH" => self.fetch(command, false).await?,
            "SEARCH" => self.search(command, false),
            "STORE" => self.store(command, false).await?,
            "COPY" | "MOVE" => self.copy(command, false),
            "UID" => self.serve_uid(command).await?,
            "APPEND" => self.append(command),
            "IDLE" => self.idle(&command).await?,
            "COMPRESS" => self.compress(&command).await?,
            "AUTHENTICATE" | "LOGIN" => self.no(&command.tag, "BAD Command received in Invalid state."),
            _ => self.no(&command.tag, "BAD Command Error. 10"),
        }
        Ok(())
    }

    async fn serve_uid(&mut self, mut command: Command) -> Flow {
        command.name = command.args.pop_front().map(|name| name.upper()).unwrap_or_default();
        match command.name.as_str() {
            "FETCH" => self.fetch(command, true).await,
            "STORE" => self.store(command, true).await,
            "SEARCH" => {
                self.search(command, true);
                Ok(())
            }
            "COPY" | "MOVE" => {
                self.copy(command, true);
                Ok(())
            }
            "EXPUNGE" => {
                self.uid_expunge(&command);
                Ok(())
            }
            _ => {
                self.no(&command.tag, "BAD Command Error. 10");
                Ok(())
            }
        }
    }

    pub(super) fn serve_any_time(&mut self, command: &Command) -> Flow {
        let flavour = self.flavour();
        match command.name.as_str() {
            "CAPABILITY" if self.switches.capability_only_in_greeting && self.user.is_none() => {}
            "CAPABILITY" => {
                let list = if self.user.is_some() { flavour.after_login() } else { flavour.before_login() };
                self.transport.put_line(format!("* CAPABILITY {list}"));
            }
            "ID" => self.transport.put_line(format!("* ID {}", flavour.id())),
            "LOGOUT" => {
                self.shared.change(|state| state.stats.logouts += 1);
                self.transport.put_line(format!("* BYE {}", flavour.goodbye()));
                self.done(command);
                return Err(End::Close);
            }
            _ => {}
        }
        self.done(command);
        Ok(())
    }

    async fn compress(&mut self, command: &Command) -> Flow {
        let offered = self.flavour().after_login().contains("COMPRESS=DEFLATE");
        let asked = command.args.front().is_some_and(|method| method.upper() == "DEFLATE");
        if !offered || !asked || self.transport.is_compressed() {
            self.no(&command.tag, "NO [COMPRESSIONACTIVE] not now");
            return Ok(());
        }
        self.done(command);
        self.transport.flush().await?;
        self.transport.compress();
        self.shared.change(|state| state.stats.compressed += 1);
        Ok(())
    }

    fn enable(&mut self, command: &Command) {
        let offered = self.flavour().after_login();
        let knows = |name: &str| offered.split(' ').any(|capability| capability == name);
        let names: Vec<String> = command.args.iter().map(Arg::upper).filter(|name| knows(name)).collect();
        self.condstore |= names.iter().any(|name| name == "CONDSTORE");
        self.transport.put_line(format!("* ENABLED {}", names.join(" ")));
        self.done(command);
    }

    fn quota(&mut self, command: &Command) {
        if command.name == "GETQUOTAROOT" {
            let mailbox = command.args.front().and_then(|arg| arg.octets()).unwrap_or_default();
            self.transport.put(b"* QUOTAROOT ");
            self.transport.put(parser::string(mailbox));
            self.transport.put_line(b" \"\"");
        }
        self.transport.put_line("* QUOTA \"\" (STORAGE 10 15728640)");
        self.done(command);
    }
}
