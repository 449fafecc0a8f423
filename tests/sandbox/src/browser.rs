//! A person with a browser: opens the authorisation URL, consents, and is sent back to the proxy.
//!
//! Just enough HTTP for two local servers: one request a connection, redirects followed to loopback addresses
//! only, forms answered by pressing a button.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// Redirects followed at most.
const REDIRECTS: usize = 5;

/// A person with a browser.
#[derive(Debug, Default)]
pub struct Browser {
    _private: (),
}

/// The page that the browser shows in the end.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its address.
    pub url: String,
    /// HTTP status.
    pub status: u16,
    /// Response headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Page {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One GET; follows no redirect.
    pub async fn get(&self, url: &str) -> io::Result<Page> {
        request(url, None).await
    }

    /// One POST of a form; follows no redirect.
    pub async fn post(&self, url: &str, form: &[(&str, &str)]) -> io::Result<Page> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        request(url, Some(&body)).await
    }

    /// Opens the authorisation URL, signs in as `account` (or as the prefilled one), approves all scopes, and
    /// follows the redirects.
    pub async fn consent(&self, url: &str, account: Option<&str>) -> io::Result<Page> {
        self.decide(url, account, "approve").await
    }

    /// Like [`Browser::consent`], but presses Deny.
    pub async fn deny(&self, url: &str) -> io::Result<Page> {
        self.decide(url, None, "deny").await
    }

    /// Approves, and returns the redirect's address unopened, as a person would paste it.
    pub async fn consent_and_copy(&self, url: &str, account: Option<&str>) -> io::Result<String> {
        let page = self.press(self.get(url).await?, account, "approve").await?;
        page.header("location").map(str::to_owned).ok_or_else(|| io::Error::other(page.body))
    }

    async fn decide(&self, url: &str, account: Option<&str>, decision: &str) -> io::Result<Page> {
        let page = self.press(self.get(url).await?, account, decision).await?;
        self.follow(page).await
    }

    /// Presses a button of a consent page; returns any other page unchanged.
    async fn press(&self, page: Page, account: Option<&str>, decision: &str) -> io::Result<Page> {
        if page.status != 200 || !page.body.contains("name=\"decision\"") {
            return Ok(page);
        }
        let mut form = inputs(&page.body);
        if let Some(account) = account {
            form.retain(|(name, _)| name != "account");
            form.push(("account".to_owned(), account.to_owned()));
        }
        form.push(("decision".to_owned(), decision.to_owned()));
        let form: Vec<(&str, &str)> =
            form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(&page.url, &form).await
    }

    async fn follow(&self, mut page: Page) -> io::Result<Page> {
        for _ in 0..REDIRECTS {
            let Some(location) = page.header("location").filter(|_| (300..400).contains(&page.status)) else {
                return Ok(page);
            };
            let next =
                Url::parse(&page.url).and_then(|base| base.join(location)).map_err(io::Error::other)?;
            page = self.get(next.as_str()).await?;
        }
        Err(io::Error::other("too many redirects"))
    }
}

async fn request(url: &str, form: Option<&str>) -> io::Result<Page> {
    let parsed = Url::parse(url).map_err(io::Error::other)?;
    let host = parsed.host_str().ok_or_else(|| io::Error::other("a URL without a host"))?;
    let port = parsed.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let target = match parsed.query() {
        Some(query) => format!("{}?{query}", parsed.path()),
        None => parsed.path().to_owned(),
    };
    let method = if form.is_some() { "POST" } else { "GET" };
    let body = form.unwrap_or_default();
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n");
    if form.is_some() {
        head += "content-type: application/x-www-form-urlencoded\r\n";
        head += &format!("content-length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    parse(url, &answer).ok_or_else(|| io::Error::other("not an HTTP answer"))
}

fn parse(url: &str, answer: &[u8]) -> Option<Page> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines: VecDeque<&str> = head.split("\r\n").collect();
    let status = lines.pop_front()?.split(' ').nth(1)?.parse().ok()?;
    let header =
        |line: &str| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    let headers: Vec<(String, String)> = lines.into_iter().filter_map(header).collect();
    let mut body = answer[end + 4..].to_vec();
    if headers.iter().any(|(name, value)| name == "transfer-encoding" && value.contains("chunked")) {
        body = unchunk(&body)?;
    }
    Some(Page { url: url.to_owned(), status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(end + 2..end + 2 + size)?);
        body = body.get(end + 4 + size..)?;
    }
}

/// Names and values of the inputs of the sandbox's consent page, with the boxes ticked as sent.
fn inputs(page: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        let end = tag[start..].find('"')?;
        let unescaped =
            tag[start..start + end].replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
        Some(unescaped.replace("&amp;", "&"))
    };
    let tags = page.split("<input").skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag);
    tags.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
        .collect()
}
