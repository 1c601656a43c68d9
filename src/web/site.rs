//! Request in, response out: what the web answers to each path, as a pure function.
//!
//! What must hold: the answer depends on the request alone. There is no `Date` field, since a web without a clock must
//! not send one (RFC 9110 6.6.1), and so the same web sends the same bytes each time.

use super::blocks::Blocks;
use super::model::{Break, Fate, Model, RobotsKind};
use super::path::{Target, host_number};
use super::pictures::Pictures;
use super::render::Renderer;
use super::response::{Response, number_field};
use super::settings::WebSettings;
use crate::time::{MILLISECOND, SECOND, Tick};

/// Sizes of trap and private pages, bytes: they are many.
const SIDE_PAGE_BYTES: usize = 1_500;
/// How often a limited connection may send, per second.
const SENDS_PER_S: u64 = 50;

/// A request as far as it matters.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Host field or authority of an absolute target.
    pub authority: &'a [u8],
    /// Path and query.
    pub path: &'a [u8],
    /// HEAD: only the head is wanted.
    pub head_only: bool,
    /// The client accepts gzip.
    pub gzip: bool,
    /// The client knows chunks (HTTP/1.1).
    pub chunks: bool,
    /// The client keeps the connection.
    pub keep: bool,
}

/// How slowly an answer is sent: so many bytes each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes at a time.
    pub bytes: usize,
    /// Time between.
    pub every: Tick,
}

/// What is to be known about an answer besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Status, 0 where none is sent.
    pub status: u16,
    /// Host asked for, where it is one of this web.
    pub host: Option<u32>,
    /// Wait before the first byte.
    pub delay: Tick,
    /// How slowly it is sent.
    pub pace: Option<Pace>,
    /// Close the connection after it.
    pub close: bool,
    /// The host's robots.txt forbids the path.
    pub violation: bool,
    /// The path only occurs in what looks like a link and is none.
    pub fake: bool,
    /// The path belongs to a trap.
    pub trap: bool,
}

/// A web that answers.
#[derive(Debug)]
pub struct Site {
    /// The model.
    pub model: std::sync::Arc<Model>,
    /// Its text.
    pub blocks: Blocks,
    pictures: Pictures,
    renderer: Renderer,
    scratch: Vec<u8>,
}

impl Site {
    /// The web of `model`.
    pub fn new(model: std::sync::Arc<Model>) -> Self {
        Self {
            blocks: Blocks::new(model.settings().seed, model.paths().words()),
            pictures: Pictures::new(),
            renderer: Renderer::default(),
            scratch: Vec::new(),
            model,
        }
    }

    /// Answers `request` into the cleared `out`, ready to be sent.
    pub fn answer(&mut self, request: &Request<'_>, out: &mut Response) -> Served {
        let s = self.model.settings();
        let mut served = Served {
            status: 200,
            host: None,
            delay: 0,
            pace: limited(s),
            close: !request.keep,
            violation: false,
            fake: request.path.starts_with(b"/fake/"),
            trap: request.path.starts_with(b"/trap/"),
        };
        let host = host_number(request.authority).filter(|h| self.model.has_host(*h));
        let Some(host) = host else {
            served.status = 421;
            let text = b"This is a synthetic web. Its hosts are h0.web.test, h1.web.test and so on: ask with such a Host field.\n";
            self.plain(request, &mut served, text, out);
            return served;
        };
        served.host = Some(host);
        served.violation = !self.model.allows(host, request.path);
        let Some(target) = self.model.find(host, request.path, &mut self.scratch) else {
            served.status = 404;
            self.plain(request, &mut served, b"Not found.\n", out);
            return served;
        };
        let delay_item = request
            .path
            .iter()
            .fold(0u64, |n, c| n.wrapping_mul(31) + u64::from(*c));
        served.delay = self.model.latency_ms(host, delay_item) * MILLISECOND;
        match target {
            Target::Page(page) => self.page(request, host, page, &mut served, out),
            Target::Hop(page, hop) => self.hop(request, (host, page, hop), &mut served, out),
            Target::Robots => self.robots(request, host, &mut served, out),
            Target::Image(n) => {
                let (kind, bytes) = self.pictures.get(n);
                out.text().extend_from_slice(bytes);
                out.close_run();
                finish(
                    &self.blocks,
                    request,
                    &mut served,
                    kind,
                    Framing::Length,
                    out,
                );
            }
            Target::Style => self.text(request, &mut served, "text/css", STYLE, out),
            Target::Script => self.text(request, &mut served, "text/javascript", SCRIPT, out),
            Target::Private(_)
            | Target::Open(_)
            | Target::Calendar(_)
            | Target::Deep(_)
            | Target::Session(..) => {
                let at = (host, target);
                self.renderer
                    .document(&self.model, at, SIDE_PAGE_BYTES, out);
                finish(
                    &self.blocks,
                    request,
                    &mut served,
                    HTML,
                    Framing::Length,
                    out,
                );
            }
        }
        served
    }

    /// An answer for a request that cannot be understood; the connection is closed after it.
    pub fn refuse(&self, status: u16, out: &mut Response) -> Served {
        let request = Request {
            authority: b"",
            path: b"",
            head_only: false,
            gzip: false,
            chunks: false,
            keep: false,
        };
        let mut served = Served {
            status,
            host: None,
            delay: 0,
            pace: None,
            close: true,
            violation: false,
            fake: false,
            trap: false,
        };
        self.plain(&request, &mut served, reason(status).as_bytes(), out);
        served
    }

    fn page(
        &mut self,
        request: &Request<'_>,
        host: u32,
        page: u64,
        served: &mut Served,
        out: &mut Response,
    ) {
        let fate = self.model.fate(host, page);
        match fate {
            Fate::Redirect { .. } => return self.hop(request, (host, page, 0), served, out),
            Fate::Error(status) => {
                served.status = status;
                return self.plain(request, served, reason(status).as_bytes(), out);
            }
            Fate::Broken(Break::Empty) => return nothing(served, out),
            Fate::Broken(Break::GarbageStatus) => {
                nothing(served, out);
                out.head
                    .extend_from_slice(b"HTTP/one.two \x00\xff maybe\r\n\x1b[2J: \r\n\r\n<html>");
                return out.seal(&self.blocks, Some(0));
            }
            Fate::Slow => {
                let every = Tick::from(self.model.settings().slow_period_ms) * MILLISECOND;
                served.pace = Some(Pace { bytes: 1, every });
            }
            Fate::Fine | Fate::Large | Fate::Broken(_) => {}
        }
        let size = self.model.size(host, page);
        let at = (host, Target::Page(page));
        self.renderer.document(&self.model, at, size, out);
        let (gzip, chunked) = self.model.codings(host, page);
        if gzip && request.gzip {
            out.pack(&self.blocks);
        }
        let framing = match fate {
            Fate::Broken(Break::EarlyClose) => Framing::Early,
            Fate::Broken(Break::TruncatedChunk) => Framing::EarlyChunk,
            Fate::Broken(_) => Framing::WrongLength,
            _ if chunked && request.chunks => Framing::Chunked,
            _ => Framing::Length,
        };
        let kind = match (gzip, gzip && request.gzip) {
            (_, true) => HTML_GZIP,
            (true, false) => HTML_VARY,
            _ => HTML,
        };
        finish(&self.blocks, request, served, kind, framing, out);
    }

    fn hop(
        &mut self,
        request: &Request<'_>,
        (host, page, hop): (u32, u64, u32),
        served: &mut Served,
        out: &mut Response,
    ) {
        let Some((status, to, target)) = self.model.redirect(host, page, hop) else {
            served.status = 404;
            return self.plain(request, served, b"Not found.\n", out);
        };
        served.status = status;
        self.scratch.clear();
        // Location may be relative (RFC 9110 10.2.2); every other one is.
        if to != host || (page + u64::from(hop)) % 2 == 0 {
            self.scratch.extend_from_slice(b"http://");
            self.model.write_authority(to, &mut self.scratch);
        }
        self.model.paths().write(to, target, &mut self.scratch);
        out.text().extend_from_slice(b"Moved.\n");
        out.close_run();
        start_head(status, out);
        out.head.extend_from_slice(b"Location: ");
        out.head.extend_from_slice(&self.scratch);
        out.head
            .extend_from_slice(b"\r\nContent-Type: text/plain\r\n");
        end_head(&self.blocks, request, served, Framing::Length, out);
    }

    fn robots(
        &mut self,
        request: &Request<'_>,
        host: u32,
        served: &mut Served,
        out: &mut Response,
    ) {
        let (status, body) = robots_of(&self.model, host);
        served.status = status;
        served.delay = 0;
        self.plain(request, served, &body, out);
    }

    fn plain(&self, request: &Request<'_>, served: &mut Served, text: &[u8], out: &mut Response) {
        self.text(request, served, "text/plain; charset=utf-8", text, out);
    }

    fn text(
        &self,
        request: &Request<'_>,
        served: &mut Served,
        kind: &str,
        text: &[u8],
        out: &mut Response,
    ) {
        out.text().extend_from_slice(text);
        out.close_run();
        start_head(served.status, out);
        if served.status == 503 {
            number_field(
                &mut out.head,
                "Retry-After",
                self.model.settings().retry_after_s.into(),
            );
        }
        out.head.extend_from_slice(b"Content-Type: ");
        out.head.extend_from_slice(kind.as_bytes());
        out.head.extend_from_slice(b"\r\n");
        end_head(&self.blocks, request, served, Framing::Length, out);
    }
}

const HTML: &str = "text/html; charset=utf-8";
const HTML_VARY: &str = "text/html; charset=utf-8\r\nVary: Accept-Encoding";
const HTML_GZIP: &str =
    "text/html; charset=utf-8\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding";
const STYLE: &[u8] = b"body{margin:2em;max-width:50em}.text{color:#123}\n";
const SCRIPT: &[u8] = b"document.title+='';var a='<a href=\"/fake/file\">';\n";

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    /// A length that is not reached.
    Early,
    /// A chunk that is not ended.
    EarlyChunk,
    /// A length that is passed.
    WrongLength,
}

/// The status and body of the host's robots.txt.
pub fn robots_of(model: &Model, host: u32) -> (u16, Vec<u8>) {
    let mut body = Vec::new();
    match model.robots(host) {
        RobotsKind::Failing => return (500, reason(500).into()),
        RobotsKind::Missing => return (404, reason(404).into()),
        RobotsKind::Open => body.extend_from_slice(b"# Welcome.\nUser-agent: *\nDisallow:\n"),
        RobotsKind::Rules => {
            body.extend_from_slice(
                b"User-agent: unwelcome\nDisallow: /\n\nUser-agent: *\nDisallow: /private/\nAllow: /private/open/\n",
            );
            let delay = model.settings().crawl_delay_s;
            if delay > 0 {
                body.extend_from_slice(format!("Crawl-delay: {delay}\n").as_bytes());
            }
        }
    }
    (200, body)
}

fn limited(s: &WebSettings) -> Option<Pace> {
    (s.bandwidth > 0).then(|| Pace {
        bytes: (s.bandwidth / SENDS_PER_S).max(1) as usize,
        every: SECOND * (s.bandwidth / SENDS_PER_S).max(1) / s.bandwidth,
    })
}

fn nothing(served: &mut Served, out: &mut Response) {
    out.clear();
    served.status = 0;
    served.close = true;
}

fn finish(
    blocks: &Blocks,
    request: &Request<'_>,
    served: &mut Served,
    kind: &str,
    framing: Framing,
    out: &mut Response,
) {
    start_head(served.status, out);
    out.head.extend_from_slice(b"Content-Type: ");
    out.head.extend_from_slice(kind.as_bytes());
    out.head.extend_from_slice(b"\r\n");
    end_head(blocks, request, served, framing, out);
}

fn start_head(status: u16, out: &mut Response) {
    let line: &[u8] = match status {
        200 => b"HTTP/1.1 200 OK\r\nServer: cyclosa-web\r\n",
        _ => {
            out.head.extend_from_slice(b"HTTP/1.1 ");
            super::path::decimal(&mut out.head, status.into());
            out.head.push(b' ');
            out.head
                .extend_from_slice(reason(status).trim_end().as_bytes());
            b"\r\nServer: cyclosa-web\r\n"
        }
    };
    out.head.extend_from_slice(line);
}

fn end_head(
    blocks: &Blocks,
    request: &Request<'_>,
    served: &mut Served,
    framing: Framing,
    out: &mut Response,
) {
    let body = out.body_len(blocks);
    let mut cut = None;
    match framing {
        Framing::Length => number_field(&mut out.head, "Content-Length", body as u64),
        Framing::Chunked => out.chunk(blocks),
        Framing::Early => {
            number_field(&mut out.head, "Content-Length", body as u64);
            cut = Some(body / 2);
        }
        Framing::EarlyChunk => {
            out.chunk(blocks);
            // Before the end of the last chunk's data, whatever its length.
            cut = Some(out.body_len(blocks) - "\r\n0\r\n\r\n".len() - 1);
        }
        Framing::WrongLength => {
            number_field(&mut out.head, "Content-Length", (body - body / 8) as u64)
        }
    }
    if matches!(framing, Framing::Chunked | Framing::EarlyChunk) {
        out.head
            .extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    // A broken answer does not say that it will be closed: that is what breaks it.
    let broken = matches!(
        framing,
        Framing::Early | Framing::EarlyChunk | Framing::WrongLength
    );
    if served.close && !broken {
        out.head.extend_from_slice(b"Connection: close\r\n");
    }
    served.close |= broken;
    out.head.extend_from_slice(b"\r\n");
    if request.head_only {
        cut = Some(0);
    }
    out.seal(blocks, cut);
}

/// Reason phrase and, with the line end, text of a status.
fn reason(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently\n",
        302 => "Found\n",
        303 => "See Other\n",
        307 => "Temporary Redirect\n",
        308 => "Permanent Redirect\n",
        400 => "Bad Request\n",
        403 => "Forbidden\n",
        404 => "Not Found\n",
        405 => "Method Not Allowed\n",
        410 => "Gone\n",
        413 => "Content Too Large\n",
        421 => "Misdirected Request\n",
        431 => "Request Header Fields Too Large\n",
        500 => "Internal Server Error\n",
        503 => "Service Unavailable\n",
        _ => "OK\n",
    }
}
