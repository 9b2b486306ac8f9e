//! Who may ask what: one check that every request passes before a handler sees it, whatever its route.
//!
//! A server on this machine is reached by every page that its user opens, so three things are held apart. The name that was
//! asked for must be one of this server's, or a foreign page could have its own name resolved to this machine (DNS
//! rebinding). A request that a browser says comes from another page is refused, whatever it asks for: nothing here is for
//! other pages. And beyond this machine everybody needs the token.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, http};

use super::execution::not_executing;
use super::fault::{Code, Fault};
use super::route::{Access, Route, Takes};
use super::wire::shown;
use crate::types::ContentHash;

/// Bytes of a body that is read whole, at most: a thousand of the longest tags are less.
pub const LARGEST_BODY: u64 = 16 << 20;

/// Bytes of an address at most.
const LONGEST_ADDRESS: usize = 16 << 10;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What the server lets through.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Where it listens.
    pub address: SocketAddr,
    /// Further names, as `Host` has them: `tracker.example` for any port, `tracker.example:8080` for one.
    pub hosts: Vec<String>,
    pub token: Option<String>,
    pub is_read_only: bool,
    /// Whether programs may be started and stopped.
    pub executes: bool,
}

impl Guard {
    /// Lets a request through to its route, or says why not.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`] for another's name or page, and for a change where nothing may be changed;
    /// [`Code::Unauthenticated`] without the token; whatever `route` says when there is none.
    pub fn admit<'r, T>(&self, head: &Parts, route: Result<(&'r Route, T), Fault>) -> Result<(&'r Route, T), Fault> {
        if head.uri.to_string().len() > LONGEST_ADDRESS {
            return Err(Fault::new(Code::TooLong, format!("an address has at most {LONGEST_ADDRESS} bytes")));
        }
        let host = self.check_host(head)?;
        let access = route.as_ref().map_or(Access::Read, |(route, _)| route.access);
        check_page(head, &host, access)?;
        if access != Access::Open {
            self.check_token(&head.headers)?;
        }
        let (route, names) = route?;
        if matches!(access, Access::Write | Access::Execute) && self.is_read_only {
            return Err(Fault::denied("this server only shows runs: it was started with --read-only"));
        }
        if route.takes == Takes::Json {
            check_json(&head.headers)?;
        }
        if access == Access::Execute && !self.executes {
            return Err(not_executing());
        }
        if route.takes != Takes::Pieces && content_length(&head.headers) > LARGEST_BODY {
            return Err(too_large());
        }
        Ok((route, names))
    }

    /// The name that was asked for, which must be this server's.
    fn check_host(&self, head: &Parts) -> Result<String, Fault> {
        let denied = |name: &str| {
            Fault::denied(format!(
                "this server is not called '{}'; start it with --allow-hosts to have it answer to a name",
                shown(name)
            ))
        };
        let mut hosts = head.headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Fault::denied("a request names its host once"));
        };
        let host = host.to_str().map_err(|_| denied("?"))?.to_ascii_lowercase();
        if head.uri.authority().is_some_and(|authority| authority.as_str().to_ascii_lowercase() != host) {
            return Err(Fault::denied("the request's address is another host's"));
        }
        let (name, port) = split_port(&host).ok_or_else(|| denied(&host))?;
        let is_allowed = self.hosts.iter().any(|allowed| {
            let allowed = allowed.to_ascii_lowercase();
            allowed == host || allowed == name
        });
        let is_port = port.unwrap_or(80) == self.address.port();
        if is_allowed || is_port && self.is_own(name) { Ok(host) } else { Err(denied(&host)) }
    }

    /// Whether a name always means this machine. A page cannot have an IP address resolved to another one, so where the
    /// server listens on all of them, each is its own.
    fn is_own(&self, name: &str) -> bool {
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match ip {
            Ok(ip) => self.address.ip() == ip || self.address.ip().is_unspecified() || ip.is_loopback(),
            Err(_) => name == "localhost",
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(token_of);
        // By their hashes, so that the time that it takes says nothing.
        let is_right =
            given.is_some_and(|given| ContentHash::of(given.as_bytes()) == ContentHash::of(token.as_bytes()));
        let text =
            "this server asks for its token: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_PASSWORD with any user name";
        if is_right { Ok(()) } else { Err(Fault::new(Code::Unauthenticated, text)) }
    }
}

/// Refuses what a browser sends for another page. A page may be opened from anywhere: that shows it to its user alone.
fn check_page(head: &Parts, host: &str, access: Access) -> Result<(), Fault> {
    let denied = || Err(Fault::denied("other pages may not ask this server"));
    let headers = &head.headers;
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or("null").to_ascii_lowercase();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if authority != Some(host) {
            return denied();
        }
    }
    let mode = headers.get(SEC_FETCH_MODE).map(|mode| mode.as_bytes());
    let is_opened = access == Access::Page && mode == Some(b"navigate") && head.method == Method::GET;
    match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) if is_opened => Ok(()),
        Some(_) => denied(),
    }
}

/// A form of another page can send text, but not this content type.
fn check_json(headers: &HeaderMap) -> Result<(), Fault> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    // What was sent is not repeated: it could be markup.
    Err(Fault::invalid("the content type of a request with a body is application/json"))
}

fn content_length(headers: &HeaderMap) -> u64 {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// A body that is longer than is taken.
pub fn too_large() -> Fault {
    Fault::new(Code::TooLong, format!("a body has at most {LARGEST_BODY} bytes; send it in several requests"))
}

/// A name and its port. What is no name, has a user before it or anything else that is not a host, is `None`.
fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            (&host[..end], host[end..].strip_prefix(':'))
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    if name.len() + port.map_or(0, |port| port.len() + 1) != host.len() {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-[]:_".contains(c);
    let is_name = !name.is_empty() && !name.ends_with('.') && name.chars().all(is_plain);
    let is_digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        None => None,
        Some(port) if is_digits(port) => Some(port.parse().ok()?),
        Some(_) => return None,
    };
    is_name.then_some((name, port))
}

/// The token of an `Authorization`: that of a bearer, or the password of anybody.
fn token_of(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().to_owned()),
        "basic" => {
            let text = String::from_utf8(base64(rest.trim())?).ok()?;
            text.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

/// The bytes that a text in base 64 stands for.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// Whether a version of HTTP is one that is spoken here.
pub fn is_spoken(version: http::Version) -> bool {
    version == http::Version::HTTP_11 || version == http::Version::HTTP_10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_read() {
        assert_eq!(token_of("Bearer s3cret"), Some("s3cret".to_owned()));
        assert_eq!(token_of("Basic YW5hOnMzOmNyZXQ="), Some("s3:cret".to_owned()));
        assert_eq!(base64("7ZWcKw"), Some("한+".as_bytes().to_vec()));
        for bad in ["", "Bearer", "Basic !!!", "Digest x", "Basic YW5h"] {
            assert_eq!(token_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_are_taken_apart() {
        assert_eq!(split_port("localhost:5000"), Some(("localhost", Some(5000))));
        assert_eq!(split_port("[::1]:5000"), Some(("[::1]", Some(5000))));
        assert_eq!(split_port("127.0.0.1"), Some(("127.0.0.1", None)));
        for bad in
            ["", ":5000", "localhost.", "localhost:", "localhost:x@evil", "a@b", "localhost:99999", "[::1", "a:1:2"]
        {
            assert_eq!(split_port(bad), None, "{bad}");
        }
    }
}
