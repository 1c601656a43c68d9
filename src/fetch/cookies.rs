//! Cookies: those that servers set, sent back to them for as long as the process lives. Off unless asked for.
//!
//! What must hold (RFC 6265, and the prefixes and limits of its revision, draft-ietf-httpbis-rfc6265bis):
//! * a cookie goes to the host that set it, or with a Domain attribute to the hosts below that name, which is never a
//!   public suffix; one that is Secure comes from and goes to `https` only;
//! * what is kept is bounded: [`COOKIE_SITES_MAX`] sites, [`COOKIES_PER_SITE`] cookies each, [`COOKIE_BYTES_MAX`] bytes
//!   each, the oldest forgotten first and counted; a request takes [`COOKIE_HEADER_BYTES_MAX`] bytes of them, those with the
//!   longest paths first;
//! * nothing in a cookie can end a line of a request.
//!
//! Deliberately absent: what only scripts and frames make a difference to (HttpOnly, SameSite, Partitioned), and
//! persistence: a crawl that goes on after a crash begins without cookies.

use crate::event::{Job, Page};
use crate::limits::{
    COOKIE_BYTES_MAX, COOKIE_HEADER_BYTES_MAX, COOKIE_SITES_MAX, COOKIES_PER_SITE,
};
use crate::time::Wall;
use cookie::Expiration;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The cookies of a crawl, shared by its lanes. The lock is taken once a request and once for an answer that sets some.
#[derive(Clone, Default)]
pub struct Cookies(Arc<Mutex<Jar>>);

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What servers remember us by is a secret between them and us.
        let jar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Cookies")
            .field("sites", &jar.sites.len())
            .finish()
    }
}

impl Cookies {
    /// Appends the line that goes into the request for `page`, with its end; nothing where there is none to send.
    pub(super) fn line(&self, page: &Page, now: Wall, out: &mut Vec<u8>) {
        if page.job == Job::Fetch {
            let jar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            jar.write(&Asked::of(page), now, out);
        }
    }

    /// Takes what the answer in `page` sets; how many cookies that were, and how many a limit refused or pushed out.
    pub(super) fn take(&self, page: &Page, now: Wall) -> (u64, u64) {
        let mut set = page.head().split(|b| *b == b'\n').filter_map(set_cookie);
        let Some(first) = set.next().filter(|_| page.job == Job::Fetch) else {
            return (0, 0);
        };
        let mut jar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = jar.dropped;
        let mut count = 0;
        for value in std::iter::once(first).chain(set) {
            count += u64::from(jar.set(&Asked::of(page), value, now));
        }
        (count, jar.dropped - before)
    }
}

/// The value of a `Set-Cookie` line of a head.
fn set_cookie(line: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"set-cookie:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    std::str::from_utf8(value.trim_ascii()).ok()
}

/// What a request asks for, in the terms of RFC 6265.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    host: &'a str,
    path: &'a str,
    secure: bool,
}

impl<'a> Asked<'a> {
    fn of(page: &'a Page) -> Self {
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let (authority, target) = (text(page.authority()), text(page.target()));
        // The colons of an address stand in brackets.
        let port = authority
            .rfind(':')
            .filter(|at| !authority[*at..].contains(']'));
        Self {
            host: port.map_or(authority, |at| &authority[..at]),
            path: target.split('?').next().unwrap_or_default(),
            secure: page.url.starts_with(b"https:"),
        }
    }

    fn is_address(&self) -> bool {
        self.host.starts_with('[') || self.host.parse::<std::net::Ipv4Addr>().is_ok()
    }

    /// What its cookies are kept under: the registrable domain, or the host where it has none.
    fn site(&self) -> &'a str {
        if self.is_address() {
            return self.host;
        }
        psl::domain_str(self.host).unwrap_or(self.host)
    }
}

struct Kept {
    name: String,
    value: String,
    /// The host, or with `below` the name that it and the hosts below it share.
    domain: String,
    below: bool,
    path: String,
    secure: bool,
    /// When it ends; `None` is with the process.
    ends: Option<Wall>,
}

impl Kept {
    fn goes_to(&self, asked: &Asked<'_>, now: Wall) -> bool {
        let domain = asked.host == self.domain || self.below && is_below(asked.host, &self.domain);
        domain
            && path_matches(asked.path, &self.path)
            && (asked.secure || !self.secure)
            && self.ends.is_none_or(|ends| ends > now)
    }

    fn replaces(&self, other: &Kept) -> bool {
        (&self.name, &self.domain, &self.path, self.below)
            == (&other.name, &other.domain, &other.path, other.below)
    }
}

#[derive(Default)]
struct Jar {
    /// By site; each in the order of creation.
    sites: HashMap<String, Vec<Kept>>,
    /// The sites, in the order they were added.
    order: VecDeque<String>,
    dropped: u64,
}

impl Jar {
    /// Whether `value` sets, replaces or ends a cookie.
    fn set(&mut self, asked: &Asked<'_>, value: &str, now: Wall) -> bool {
        if value.len() > 2 * COOKIE_BYTES_MAX {
            self.dropped += 1;
            return false;
        }
        let Some(fresh) = parse(asked, value, now) else {
            return false;
        };
        if fresh.name.len() + fresh.value.len() > COOKIE_BYTES_MAX {
            self.dropped += 1;
            return false;
        }
        let ended = fresh.ends.is_some_and(|ends| ends <= now);
        let site = asked.site();
        if !self.sites.contains_key(site) {
            if ended {
                return true;
            }
            self.add_site(site);
        }
        let Some(kept) = self.sites.get_mut(site) else {
            return false;
        };
        if let Some(at) = kept.iter().position(|old| fresh.replaces(old)) {
            if ended {
                kept.remove(at);
            } else {
                kept[at] = fresh;
            }
        } else if !ended {
            kept.retain(|old| old.ends.is_none_or(|ends| ends > now));
            if kept.len() >= COOKIES_PER_SITE {
                kept.remove(0);
                self.dropped += 1;
            }
            kept.push(fresh);
        }
        true
    }

    fn add_site(&mut self, site: &str) {
        if self.order.len() >= COOKIE_SITES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.sites.remove(&oldest).unwrap_or_default();
            self.dropped += gone.len() as u64;
        }
        self.order.push_back(site.to_owned());
        self.sites.insert(site.to_owned(), Vec::new());
    }

    /// Longest paths first, then in the order of creation (RFC 6265 5.4).
    fn write(&self, asked: &Asked<'_>, now: Wall, out: &mut Vec<u8>) {
        let Some(kept) = self.sites.get(asked.site()) else {
            return;
        };
        let mut going: Vec<_> = kept.iter().filter(|c| c.goes_to(asked, now)).collect();
        going.sort_by_key(|c| std::cmp::Reverse(c.path.len()));
        let begin = out.len();
        for cookie in going {
            let first = out.len() == begin;
            let lead: &[u8] = if first { b"Cookie: " } else { b"; " };
            let bytes = lead.len() + cookie.name.len() + 1 + cookie.value.len();
            if out.len() - begin + bytes > COOKIE_HEADER_BYTES_MAX {
                break;
            }
            out.extend_from_slice(lead);
            out.extend_from_slice(cookie.name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(cookie.value.as_bytes());
        }
        if out.len() > begin {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The cookie that `value` sets (RFC 6265 5.2 and 5.3); `None` where it sets none.
fn parse(asked: &Asked<'_>, value: &str, now: Wall) -> Option<Kept> {
    let set = cookie::Cookie::parse(value).ok()?;
    let (name, value) = (set.name().to_owned(), set.value().to_owned());
    if name.is_empty()
        || [&name, &value]
            .iter()
            .any(|s| s.chars().any(char::is_control))
    {
        return None;
    }
    let secure = set.secure().unwrap_or(false);
    if secure && !asked.secure {
        return None;
    }
    let (domain, below) = domain(asked, set.domain().unwrap_or_default())?;
    let path = match set.path() {
        Some(path) if path.starts_with('/') => path.to_owned(),
        _ => default_path(asked.path).to_owned(),
    };
    let host_only = !below && path == "/";
    if has_prefix(&name, "__Secure-") && !secure
        || has_prefix(&name, "__Host-") && !(secure && host_only && set.path().is_some())
    {
        return None;
    }
    Some(Kept {
        ends: ends(&set, now),
        name,
        value,
        domain,
        below,
        path,
        secure,
    })
}

/// Which hosts it goes to, and whether those below too; `None` where it may not be set.
fn domain(asked: &Asked<'_>, attribute: &str) -> Option<(String, bool)> {
    let wanted = attribute.strip_prefix('.').unwrap_or(attribute);
    let wanted = wanted.to_ascii_lowercase();
    if wanted.is_empty() {
        return Some((asked.host.to_owned(), false));
    }
    let public = psl::suffix_str(&wanted).is_some_and(|suffix| suffix == wanted);
    if wanted == asked.host {
        return Some((wanted, !public && !asked.is_address()));
    }
    (!public && is_below(asked.host, &wanted) && !asked.is_address()).then_some((wanted, true))
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|front| front.ends_with('.'))
}

fn path_matches(path: &str, of: &str) -> bool {
    path.strip_prefix(of)
        .is_some_and(|rest| rest.is_empty() || of.ends_with('/') || rest.starts_with('/'))
}

fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    let front = name.get(..prefix.len());
    front.is_some_and(|front| front.eq_ignore_ascii_case(prefix))
}

/// When it ends: Max-Age goes before Expires; `None` is with the process.
fn ends(set: &cookie::Cookie<'_>, now: Wall) -> Option<Wall> {
    if let Some(age) = set.max_age() {
        let ms = age
            .whole_milliseconds()
            .clamp(0, i128::from(u32::MAX) * 1_000);
        return Some(now.saturating_add(ms as u64));
    }
    match set.expires()? {
        Expiration::Session => None,
        Expiration::DateTime(date) => Some(
            u64::try_from(date.unix_timestamp())
                .unwrap_or(0)
                .saturating_mul(1_000),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = 1_790_000_000_000;

    fn page(url: &str) -> Page {
        let path_at = url[8..].find('/').expect("a path") + 8;
        Page {
            url: url.as_bytes().to_vec(),
            path_at: path_at as u16,
            job: Job::Fetch,
            ..Page::default()
        }
    }

    fn answer(cookies: &Cookies, url: &str, set: &[&str]) {
        let mut page = page(url);
        page.buf = b"HTTP/1.1 200 OK\r\n".to_vec();
        for value in set {
            page.buf
                .extend_from_slice(format!("Set-cookie: {value}\r\n").as_bytes());
        }
        page.buf.extend_from_slice(b"\r\n");
        (page.body_at, page.body_end) = (page.buf.len() as u32, page.buf.len() as u32);
        cookies.take(&page, NOW);
    }

    fn kept(cookies: &Cookies) -> usize {
        let jar = cookies.0.lock().expect("no panic");
        jar.sites.values().map(Vec::len).sum()
    }

    fn dropped(cookies: &Cookies) -> u64 {
        cookies.0.lock().expect("no panic").dropped
    }

    fn line(cookies: &Cookies, page: &Page, now: Wall) -> Vec<u8> {
        let mut out = Vec::new();
        cookies.line(page, now, &mut out);
        out
    }

    fn sent(cookies: &Cookies, url: &str) -> String {
        let line = String::from_utf8(line(cookies, &page(url), NOW)).expect("text");
        let line = line.strip_suffix("\r\n").unwrap_or_default();
        line.strip_prefix("Cookie: ").unwrap_or_default().to_owned()
    }

    #[test]
    fn a_cookie_goes_back_to_its_host_and_path_only() {
        let jar = Cookies::default();
        answer(
            &jar,
            "http://a.shop.example/basket/add?x=1",
            &["id=7; HttpOnly", "n = 2 ; Path=/"],
        );
        assert_eq!(sent(&jar, "http://a.shop.example/basket/show"), "id=7; n=2");
        assert_eq!(sent(&jar, "http://a.shop.example:8080/basket"), "id=7; n=2");
        assert_eq!(sent(&jar, "http://a.shop.example/baskets"), "n=2");
        for other in [
            "http://shop.example/",
            "http://b.a.shop.example/",
            "http://xa.shop.example/",
        ] {
            assert_eq!(sent(&jar, other), "");
        }
    }

    #[test]
    fn a_domain_reaches_below_and_never_a_public_suffix() {
        let jar = Cookies::default();
        answer(
            &jar,
            "http://a.shop.co.uk/",
            &[
                "s=1; Domain=.Shop.co.uk",
                "p=2; domain=co.uk",
                "o=3; domain=b.shop.co.uk",
            ],
        );
        assert_eq!(sent(&jar, "http://b.shop.co.uk/"), "s=1");
        assert_eq!(sent(&jar, "http://other.co.uk/"), "");
        answer(
            &jar,
            "http://127.0.0.1/",
            &["x=1; Domain=0.0.1", "y=2; Domain=127.0.0.1"],
        );
        assert_eq!(sent(&jar, "http://127.0.0.1/"), "y=2");
        assert_eq!(sent(&jar, "http://9.127.0.0.1/"), "");
        answer(&jar, "http://[::1]:80/", &["z=1"]);
        assert_eq!(sent(&jar, "http://[::1]/"), "z=1");
    }

    #[test]
    fn secure_cookies_and_prefixes_keep_their_word() {
        let jar = Cookies::default();
        answer(
            &jar,
            "http://h.example/",
            &["a=1; Secure", "__Secure-b=1; Path=/", "__host-c=1; Path=/"],
        );
        assert_eq!(sent(&jar, "https://h.example/"), "");
        answer(
            &jar,
            "https://h.example/",
            &[
                "a=1; Secure",
                "__Host-c=1; Path=/; Secure",
                "__Host-d=1; Path=/; Secure; Domain=h.example",
            ],
        );
        assert_eq!(sent(&jar, "https://h.example/"), "a=1; __Host-c=1");
        assert_eq!(sent(&jar, "http://h.example/"), "");
    }

    #[test]
    fn cookies_end_and_are_replaced() {
        let jar = Cookies::default();
        answer(
            &jar,
            "http://h.example/",
            &[
                "a=1",
                "b=1; Max-Age=60",
                "c=1; Expires=Thu, 01 Jan 2015 00:00:00 GMT",
            ],
        );
        assert_eq!(sent(&jar, "http://h.example/"), "a=1; b=1");
        assert!(
            line(&jar, &page("http://h.example/"), NOW + 61_000).starts_with(b"Cookie: a=1\r\n")
        );
        answer(&jar, "http://h.example/", &["a=2", "b=; Max-Age=0"]);
        assert_eq!(sent(&jar, "http://h.example/"), "a=2");
    }

    #[test]
    fn limits_hold_and_are_counted() {
        let jar = Cookies::default();
        let long = format!("l={}", "x".repeat(COOKIE_BYTES_MAX));
        answer(&jar, "http://h.example/", &[&long]);
        assert_eq!((kept(&jar), dropped(&jar)), (0, 1));
        for n in 0..COOKIES_PER_SITE + 3 {
            answer(
                &jar,
                "http://h.example/",
                &[&format!("n{n}={}", "v".repeat(400))],
            );
        }
        assert_eq!((kept(&jar), dropped(&jar)), (COOKIES_PER_SITE, 4));
        let line = sent(&jar, "http://h.example/");
        assert!(line.starts_with("n3=") && line.len() <= COOKIE_HEADER_BYTES_MAX);
        for n in 0..COOKIE_SITES_MAX {
            answer(&jar, &format!("http://site{n}.example/"), &["a=1"]);
        }
        assert_eq!(sent(&jar, "http://h.example/"), "");
        assert_eq!(kept(&jar), COOKIE_SITES_MAX);
    }

    #[test]
    fn nothing_ends_a_line_of_a_request() {
        let jar = Cookies::default();
        for byte in (0u8..0x20).chain([0x7f]) {
            answer(
                &jar,
                "http://h.example/",
                &[&format!("a=1{}X: y", byte as char)],
            );
        }
        let line = sent(&jar, "http://h.example/");
        assert!(!line.contains(char::is_control), "{line:?}");
    }

    #[test]
    fn robots_files_neither_send_nor_set() {
        let jar = Cookies::default();
        answer(&jar, "http://h.example/", &["a=1"]);
        let mut page = page("http://h.example/robots.txt");
        page.job = Job::Robots;
        assert!(line(&jar, &page, NOW).is_empty());
    }
}
