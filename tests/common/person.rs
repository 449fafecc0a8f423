//! A person with a browser that keeps the cookies of each host, and shows where it is.

use url::Url;

use super::web::{Answer, ask, ask_at};

/// Redirects followed at most.
const REDIRECTS: usize = 8;

/// A browser. Cookies belong to a host, with all its ports.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// Host, name and value.
    pub cookies: Vec<(String, String, String)>,
    /// The address of the page that is shown.
    pub at: String,
    /// The socket of a web server's page: requests to https addresses go there.
    pub through: Option<std::path::PathBuf>,
}

impl Person {
    /// One GET, without following where it leads.
    pub async fn look(&mut self, url: &str) -> Answer {
        self.request("GET", url, None).await
    }

    /// Opens an address, as if typed.
    pub async fn open(&mut self, url: &str) -> Answer {
        let answer = self.request("GET", url, None).await;
        self.follow(answer).await
    }

    /// Sends a form to an address of the page that is shown, without following where that leads.
    pub async fn send(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let url = Url::parse(&self.at).unwrap().join(path).unwrap();
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.request("POST", url.as_str(), Some(body)).await
    }

    /// Follows redirects and refreshes to a page that stays.
    pub async fn follow(&mut self, mut answer: Answer) -> Answer {
        for _ in 0..REDIRECTS {
            let next = match answer.status {
                300..400 => answer.header("location").to_owned(),
                _ => match answer.header("refresh").split_once("url=") {
                    Some((_, url)) => url.to_owned(),
                    None if !answer.header("refresh").is_empty() => self.at.clone(),
                    None => return answer,
                },
            };
            let next = Url::parse(&self.at).unwrap().join(&next).unwrap();
            answer = self.request("GET", next.as_str(), None).await;
        }
        panic!("too many redirects: {answer:?}");
    }

    /// Approves on the provider's page that is shown, as `account`; the answer is the redirect, not followed.
    pub async fn approve(&mut self, page: &Answer, account: &str) -> Answer {
        let mut form = inputs(&page.body);
        form.retain(|(name, _)| name != "account");
        form.push(("account".to_owned(), account.to_owned()));
        form.push(("decision".to_owned(), "approve".to_owned()));
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        let path = self.at.clone();
        self.send(&path, &form).await
    }

    async fn request(&mut self, method: &str, url: &str, body: Option<String>) -> Answer {
        let parsed = Url::parse(url).unwrap();
        let host = parsed.host_str().unwrap().to_owned();
        let authority = parsed[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|(of, ..)| *of == host)
            .map(|(_, name, value)| format!("{name}={value}"))
            .collect();
        let cookies =
            if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        let is_same = Url::parse(&self.at).is_ok_and(|at| at.origin() == parsed.origin());
        let from = match body {
            Some(_) if is_same => {
                format!(
                    "Origin: {}\r\nSec-Fetch-Site: same-origin\r\n",
                    parsed.origin().ascii_serialization()
                )
            }
            Some(_) => "Origin: null\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
            None => String::new(),
        };
        let body = body.unwrap_or_default();
        let passed_on = if parsed.scheme() == "https" { "X-Forwarded-For: 192.0.2.7\r\n" } else { "" };
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{cookies}{from}{passed_on}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            &parsed[url::Position::BeforePath..],
            body.len()
        );
        let answer = match &self.through {
            Some(socket) if parsed.scheme() == "https" => ask_at(socket, &request).await,
            _ => ask(&authority.replace("localhost", "127.0.0.1"), &request).await,
        };
        self.at = url.to_owned();
        let set = answer.head.lines().filter_map(|line| line.split_once(": "));
        for (_, cookie) in set.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(of, other, _)| *of != host || other != name);
            self.cookies.push((host.clone(), name.to_owned(), value.to_owned()));
        }
        answer
    }
}

/// Names and values of the inputs of the sandbox's consent page.
fn inputs(page: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        let value = rest.split_once('"')?.0.replace("&quot;", "\"").replace("&lt;", "<");
        Some(value.replace("&gt;", ">").replace("&amp;", "&"))
    };
    let tags = page.split("<input").skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag);
    tags.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
        .collect()
}
