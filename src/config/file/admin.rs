//! The `[admin]` table, and the older `[callback]`, in the written form.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::{AdminFile, Base, CallbackFile, Problem, is_loopback, socket_address};
use crate::config::{Admin, AdminAddress};

/// The kernel's limit for the path of a Unix socket, without the final zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// The table as settings, and a warning about what should be changed in it.
pub(super) fn admin(file: &AdminFile, base: &Base) -> Result<(Admin, Option<String>), Problem> {
    let is_default = file.address.is_none();
    let address = file.address.as_deref().map(|text| address(text, base)).transpose()?;
    let address = address.unwrap_or_else(|| Admin::default().address);
    let url = file.url.as_deref().map(url).transpose()?;
    let is_unreachable = matches!(address, AdminAddress::Unix(_)) && url.is_none();
    let warning = is_unreachable.then(|| {
        "admin.address is a Unix socket, which browsers cannot open, and admin.url is not written: set it to \
         the address of the web server in front of the socket"
            .to_owned()
    });
    Ok((Admin { address, url, is_default }, warning))
}

fn address(text: &str, base: &Base) -> Result<AdminAddress, Problem> {
    let problem = |message: String| {
        Problem::at(["admin", "address"], message)
            .hint("write address = \"127.0.0.1:8993\", \"unix:/run/imap-oauth-proxy/admin.sock\" or \"off\"")
    };
    if text == "off" {
        return Ok(AdminAddress::Off);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let is_file = PathBuf::from(path).file_name().is_some() && !path.ends_with('/');
        let path = base.resolve(PathBuf::from(path));
        return match path.as_os_str().len() {
            _ if !is_file => Err(problem(format!("{text:?} names no file for the socket"))),
            length if length > LONGEST_SOCKET_PATH => Err(problem(format!(
                "{} is too long for a socket: {length} bytes, of which {LONGEST_SOCKET_PATH} are possible",
                path.display()
            ))),
            _ => Ok(AdminAddress::Unix(path)),
        };
    }
    let address: SocketAddr = text.parse().map_err(|_| {
        problem(format!("{text:?} is neither an IP address with a port, nor unix:PATH, nor off"))
    })?;
    match address.ip().is_loopback() {
        true => Ok(AdminAddress::Tcp(address)),
        false => Err(problem(format!(
            "{address} is not a loopback address; the page is reached from elsewhere through your own web server \
             (admin.url)"
        ))),
    }
}

/// Only an origin: the page's paths are fixed, and its cookie is for the whole host.
fn url(text: &str) -> Result<Url, Problem> {
    let problem = |message: String| {
        Problem::at(["admin", "url"], message).hint("write url = \"https://mail-proxy.corp.example\"")
    };
    let url = Url::parse(text).map_err(|error| problem(format!("{text:?} is not a URL: {error}")))?;
    match url.scheme() {
        "https" if url.has_host() => {}
        "http" if is_loopback(&url) => {}
        "http" | "https" => {
            return Err(problem(
                "must be https, or http on a loopback host: the session's cookie and new \
                                passwords pass here"
                    .to_owned(),
            ));
        }
        scheme => return Err(problem(format!("begins with {scheme}:, and a browser needs https:"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem("holds a user name or a password; the web server asks for those".to_owned()));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(problem(
            "has something after the host; the page needs a host name of its own".to_owned(),
        ));
    }
    Ok(url)
}

/// The old address for redirects, and the warning that it is old.
pub(super) fn callback(file: CallbackFile) -> Result<Option<(SocketAddr, String)>, Problem> {
    let Some(text) = file.address else { return Ok(None) };
    let (at, hint) = (["callback", "address"], "write address = \"127.0.0.1:8994\"");
    let address = socket_address(at, &text, hint)?;
    match address.ip().is_loopback() {
        true => Ok(Some((
            address,
            "callback.address is an old key, which goes on working: admin.address receives the redirects of \
             sign-ins as well, so let your web server pass them there, and remove [callback]"
                .to_owned(),
        ))),
        false => {
            let message = format!("{address} is not a loopback address; your web server stands before it");
            Err(Problem::at(at, message).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{AdminAddress, Config};

    fn parsed(text: &str) -> Config {
        Config::parse(&format!("state_directory = \"/x\"\n{text}"), None).unwrap()
    }

    #[test]
    fn the_page_is_on_by_default_and_the_old_key_goes_on_working_and_is_said_to_be_old() {
        let default = parsed("");
        assert!(default.admin.is_default && default.warnings.is_empty());
        assert_eq!(default.admin.address.to_string(), "127.0.0.1:8993");
        let written = parsed("[admin]\naddress = \"[::1]:0\"\nurl = \"https://mail-proxy.corp.example\"");
        assert!(!written.admin.is_default && written.admin.url.is_some());
        assert_eq!(parsed("[admin]\naddress = \"off\"").admin.address, AdminAddress::Off);
        let old = parsed("[callback]\naddress = \"127.0.0.1:8994\"");
        assert_eq!(old.callback.map(|address| address.port()), Some(8994));
        assert!(old.warnings[0].starts_with("callback.address is an old key"), "{:?}", old.warnings);
    }

    #[test]
    fn a_socket_without_a_url_is_said_to_be_out_of_a_browsers_reach() {
        let socket = parsed("[admin]\naddress = \"unix:/run/x.sock\"");
        assert_eq!(socket.admin.address, AdminAddress::Unix("/run/x.sock".into()));
        assert!(socket.warnings[0].contains("admin.url is not written"), "{:?}", socket.warnings);
        let whole = parsed("[admin]\naddress = \"unix:/run/x.sock\"\nurl = \"https://x.example\"");
        assert!(whole.warnings.is_empty());
    }
}
