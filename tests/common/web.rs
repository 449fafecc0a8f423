//! A small browser for the page: it keeps the cookie, follows redirects and sends forms as a browser does.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Serving, Site, within};

/// Serves the page, at a port of the system's choice.
pub const ON: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

/// A site that serves the page.
pub async fn site() -> (Site, Serving) {
    let site = Site::new().await;
    site.configure(ON);
    let serving = site.serve().await;
    (site, serving)
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value)
    }

    /// The page holds this text.
    #[track_caller]
    pub fn has(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "{text:?} is not in {} {}", self.status, self.body);
        self
    }

    /// The page does not hold this text.
    #[track_caller]
    pub fn lacks(&self, text: &str) -> &Self {
        assert!(!self.body.contains(text), "{text:?} is in {} {}", self.status, self.body);
        self
    }

    /// The first text between `before` and `after`.
    #[track_caller]
    pub fn between(&self, before: &str, after: &str) -> String {
        let found = self.body.split_once(before).and_then(|(_, rest)| rest.split_once(after));
        found.unwrap_or_else(|| panic!("nothing is behind {before:?} in {}", self.body)).0.to_owned()
    }
}

/// The whole answer to a request.
pub async fn ask(address: &str, request: &str) -> Answer {
    answer_over(TcpStream::connect(address).await.unwrap(), request).await
}

/// The whole answer to a request over a Unix socket.
pub async fn ask_at(socket: &std::path::Path, request: &str) -> Answer {
    answer_over(tokio::net::UnixStream::connect(socket).await.unwrap(), request).await
}

async fn answer_over(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    request: &str,
) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = match head.to_lowercase().contains("transfer-encoding: chunked") {
        true => unchunked(body),
        false => body.to_owned(),
    };
    Answer { status, head: head.to_owned(), body }
}

fn unchunked(mut text: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&rest[..size]);
        text = &rest[size + 2..];
    }
    body
}

/// A browser with a session, or on its way to one.
#[derive(Clone)]
pub struct Browser {
    /// Host and port that it connects to.
    pub address: String,
    pub cookie: Option<String>,
    pub token: String,
}

impl Browser {
    /// A browser without a session.
    pub fn new(serving: &Serving) -> Self {
        let base = serving.ready["admin"].as_str().unwrap();
        Self { address: base.strip_prefix("http://").unwrap().to_owned(), cookie: None, token: String::new() }
    }

    /// A browser with a session from `admin open`.
    pub async fn enter(site: &Site, serving: &Serving) -> Self {
        let mut browser = Self::new(serving);
        let path = entrance(site).await;
        let answer = browser.send("POST", &path, &browser.origin_lines(), "").await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{answer:?}");
        browser.cookie = Some(answer.header("set-cookie").split(';').next().unwrap().to_owned());
        browser.get("/").await;
        browser
    }

    fn origin_lines(&self) -> String {
        format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", self.address)
    }

    /// A request with these further header lines.
    pub async fn send(&self, method: &str, path: &str, lines: &str, body: &str) -> Answer {
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let kind = match lines.to_lowercase().contains("content-type") || body.is_empty() {
            true => "",
            false => "Content-Type: application/x-www-form-urlencoded\r\n",
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{cookie}{lines}{kind}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        ask(&self.address, &request).await
    }

    /// A page; its token of forms is kept.
    pub async fn get(&mut self, path: &str) -> Answer {
        let answer = self.send("GET", path, "", "").await;
        if let Some((_, rest)) = answer.body.split_once("name=\"form_token\" value=\"") {
            self.token = rest.split('"').next().unwrap().to_owned();
        }
        answer
    }

    /// Sends a form, and returns the answer itself.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("form_token", &self.token).extend_pairs(fields);
        self.send("POST", path, &self.origin_lines(), &form.finish()).await
    }

    /// Sends a form, and hangs up before the answer.
    pub async fn submit_and_hang_up(&self, path: &str, fields: &[(&str, &str)]) {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let form = form.append_pair("form_token", &self.token).extend_pairs(fields).finish();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n{}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.address,
            self.cookie.as_ref().unwrap(),
            self.origin_lines(),
            form.len()
        );
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }

    /// Sends a form, and returns the page that its answer leads to.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.submit(path, fields).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let to = answer.header("location").to_owned();
        self.get(&to).await
    }
}

/// The path of a new entrance.
pub async fn entrance(site: &Site) -> String {
    let ran = site.run(&["admin", "--no-browser"]).await;
    assert_eq!((ran.code, ran.out.lines().count()), (0, 1), "{ran:?}");
    let path = ran.out.trim().split_once("/enter/").expect("an entrance").1;
    format!("/enter/{path}")
}
