//! Names and passwords for basic authentication (RFC 7617), by origin.
//!
//! What must hold: a password goes to the origin that the user named for it and to no other, so never along with a
//! redirect; it is never shown, neither by errors nor by [`std::fmt::Debug`]. Deliberately absent: digest authentication,
//! and passwords in URLs, which canonical URLs do not have.

use crate::error::{Error, Result};
use crate::limits::{CREDENTIAL_BYTES_MAX, CREDENTIALS_FILE_BYTES_MAX};
use data_encoding::BASE64;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Port of a SOCKS proxy that names none (RFC 1928 3).
pub const SOCKS_PORT: u16 = 1080;

/// The `Authorization` lines of a crawl, by origin (`https://example.org`, with a port that is not the scheme's own;
/// `socks5://host:port` for a proxy).
#[derive(Clone, Default)]
pub struct Credentials(Arc<HashMap<Vec<u8>, Secret>>);

/// What is said to one origin.
struct Secret {
    /// `Authorization: Basic …` with its end.
    line: Vec<u8>,
    /// Name, colon, password.
    user_password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("origins", &self.0.len())
            .finish()
    }
}

impl Credentials {
    /// Reads a file of lines `ORIGIN USER:PASSWORD`; blank lines and lines that start with `#` are left out.
    ///
    /// # Errors
    /// The file cannot be read, is longer than [`CREDENTIALS_FILE_BYTES_MAX`], or a line says something else; the message
    /// names the line and shows nothing of it.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong =
            |why: &dyn fmt::Display| Error::usage(format!("--auth {}: {why}", path.display()));
        let mut text = String::new();
        File::open(path)
            .and_then(|file| {
                let mut bounded = file.take(CREDENTIALS_FILE_BYTES_MAX + 1);
                bounded.read_to_string(&mut text)
            })
            .map_err(|e| wrong(&e))?;
        if text.len() as u64 > CREDENTIALS_FILE_BYTES_MAX {
            return Err(wrong(&format_args!(
                "longer than {CREDENTIALS_FILE_BYTES_MAX} bytes"
            )));
        }
        Self::of(&text).map_err(|(line, why)| wrong(&format_args!("line {line}: {why}")))
    }

    /// The lines of a file; else the number of the first that is wrong, and why.
    pub(super) fn of(text: &str) -> std::result::Result<Self, (usize, &'static str)> {
        let mut all = HashMap::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (origin, rest) = line
                .split_once(char::is_whitespace)
                .ok_or((n + 1, "write ORIGIN USER:PASSWORD"))?;
            let origin =
                origin_of(origin).ok_or((n + 1, "write an origin such as https://example.org"))?;
            let user_password = rest.trim_start();
            if !user_password.contains(':') || user_password.contains(char::is_control) {
                return Err((n + 1, "write USER:PASSWORD behind the origin"));
            }
            if user_password.len() > CREDENTIAL_BYTES_MAX {
                return Err((n + 1, "name and password are longer than 512 bytes"));
            }
            let line = format!(
                "Authorization: Basic {}\r\n",
                BASE64.encode(user_password.as_bytes())
            );
            let secret = Secret {
                line: line.into_bytes(),
                user_password: user_password.to_owned(),
            };
            if all.insert(origin.into_bytes(), secret).is_some() {
                return Err((n + 1, "this origin has a line already"));
            }
        }
        match all.is_empty() {
            true => Err((
                1,
                "the file names no origin; write lines ORIGIN USER:PASSWORD",
            )),
            false => Ok(Self(Arc::new(all))),
        }
    }

    /// The line for requests to `origin`, with its end; empty where there is none.
    pub fn line(&self, origin: &[u8]) -> &[u8] {
        self.0.get(origin).map_or(&[], |secret| &secret.line)
    }

    /// Name and password for `origin`; the name ends at the first colon (RFC 7617 2).
    pub fn login(&self, origin: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let (name, password) = self.0.get(origin)?.user_password.split_once(':')?;
        Some((name.into(), password.into()))
    }
}

/// `text` in canonical form, where it is an http or https origin, or a SOCKS 5 proxy, and nothing more.
pub fn origin_of(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let nowhere =
        matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !nowhere || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    match url.scheme() {
        "http" | "https" => Some(url.origin().ascii_serialization()),
        "socks5" | "socks5h" => {
            let host = url.host_str().filter(|host| !host.is_empty())?;
            let port = url.port().unwrap_or(SOCKS_PORT);
            Some(format!("socks5://{}:{port}", host.to_ascii_lowercase()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_belongs_to_one_origin() {
        let text =
            "# staging\nhttps://Example.org:443/ aladdin:open sesame\n\nhttp://h.test:8080 u:p:q\n";
        let all = Credentials::of(text).unwrap();
        // The example of RFC 7617 2.
        assert_eq!(
            all.line(b"https://example.org"),
            b"Authorization: Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"
        );
        assert_eq!(
            all.line(b"http://h.test:8080"),
            b"Authorization: Basic dTpwOnE=\r\n"
        );
        for other in [
            "http://example.org",
            "https://example.org:8443",
            "http://h.test",
            "https://a.example.org",
        ] {
            assert!(all.line(other.as_bytes()).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_proxy_has_an_origin_too() {
        for (text, origin) in [
            ("socks5://P.test", Some("socks5://p.test:1080")),
            ("socks5h://p.test:9050/", Some("socks5://p.test:9050")),
            ("socks5://[::1]:80", Some("socks5://[::1]:80")),
            ("http://P.test:3128", Some("http://p.test:3128")),
            ("socks5://u:p@p.test", None),
            ("socks5://", None),
            ("socks4://p.test", None),
            ("socks5://p.test/x", None),
        ] {
            assert_eq!(origin_of(text).as_deref(), origin, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named_and_shows_no_password() {
        for (text, line) in [
            ("https://a.test", 1),
            ("#x\na.test u:secret", 2),
            ("https://a.test/path u:secret", 1),
            ("https://u:secret@a.test u:secret", 1),
            ("ftp://a.test u:secret", 1),
            ("https://a.test secret", 1),
            ("https://a.test u:p\nhttps://a.test:443 u:secret", 2),
            ("# nothing\n", 1),
        ] {
            let (n, why) = Credentials::of(text).unwrap_err();
            assert_eq!(n, line, "{text}");
            assert!(!why.contains("secret"));
        }
        let all = Credentials::of("https://a.test u:secret").unwrap();
        assert_eq!(format!("{all:?}"), "Credentials { origins: 1 }");
    }
}
