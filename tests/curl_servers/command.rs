//! curl's command line, as far as a crawler can do the same: which URLs to get, and where curl puts the answer. What it
//! cannot do has a reason, by which such tests are counted.
//!
//! Options that change only what is sent (fields, credentials sent without being asked, another method) are passed over:
//! the server does not look at them, and the reply is read alike. `HEAD` is not, since it changes how replies are read.

use super::proxy::{KIND, Options, Through};
use super::script::{Part, Script};

/// Why a test says nothing about a crawler's reading of replies.
pub type Reason = &'static str;

/// Answers to challenges.
pub const AUTH: Reason = "a dialogue of challenges (Digest, NTLM, Negotiate, any)";
const RANGE: Reason = "ranges, resumed and conditional requests";
const HEAD: Reason = "HEAD or CONNECT";
const FILES: Reason = "what curl does with files, configurations and variables";
const RETRY: Reason = "retries by curl itself (here the frontier's)";
const OPTION: Reason = "an option that has curl read or refuse replies in another way";
const GLOB: Reason = "several URLs from one pattern or --next";
const SCHEME: Reason = "another scheme or URL that is none";
const SERVER: Reason = "another protocol beside or instead of plain HTTP/1";
const LIBRARY: Reason = "a program of libcurl's, not the tool";
const CLIENT: Reason = "fails before or beside the transfer";
const NOTHING: Reason = "no command or no reply";

/// Options without a value that do not change how a reply is read.
#[rustfmt::skip]
const PLAIN: [&str; 34] = [
    "-s", "-S", "-0", "-4", "-g", "-#", "-v", "-k", "-j", "-R", "-a", "--silent", "--show-error", "--http1.0",
    "--http1.1", "--http2", "--ipv4", "--xattr", "--create-dirs", "--no-progress-meter", "--form-escape",
    "--no-include", "--insecure", "--netrc", "--netrc-optional", "--post301", "--post302", "--post303", "--path-as-is", "--basic",
    "--no-http0.9", "--fail-early", "--remote-time", "--haproxy-protocol",
];

/// Options with a value that do not change how a reply is read.
#[rustfmt::skip]
const VALUED: [&str; 32] = [
    "-H", "-A", "-b", "-c", "-d", "-F", "-u", "-T", "-m", "--header", "--referer", "--data", "--data-binary",
    "--data-urlencode", "--form-string", "--json", "--user", "--upload-file", "--max-time", "--output-dir",
    "--resolve", "--connect-to", "--interface", "--tls-max", "--stderr", "--libcurl", "--expect100-timeout",
    "--netrc-file", "--url-query", "--oauth2-bearer", "--haproxy-clientip", "--limit-rate",
];

/// Options that make a test inexpressible.
#[rustfmt::skip]
const OTHER: [(Reason, &[&str]); 8] = [
    (AUTH, &[
        "--digest", "--ntlm", "--negotiate", "--anyauth", "--no-basic", "--aws-sigv4",
    ]),
    (FILES, &[
        "-K", "--config", "--variable", "--expand-data",
        "--expand-url", "--skip-existing", "--no-clobber", "--clobber", "--remove-on-error", "--ipfs-gateway",
    ]),
    (RANGE, &[
        "-C", "-r", "--range", "-z", "--etag-save", "--etag-compare",
    ]),
    (HEAD, &[
        "-I", "--head",
    ]),
    (RETRY, &[
        "--retry", "--retry-all-errors", "--retry-max-time",
    ]),
    (OPTION, &[
        "--raw", "--ignore-content-length", "--max-filesize", "--alt-svc", "--hsts", "--proto", "--proto-redir",
        "--request-target", "--doh-url", "--use-ascii",
    ]),
    (GLOB, &[
        "--next", "--parallel",
    ]),
    (SERVER, &[
        "--unix-socket",
    ]),
];

/// Errors of curl that say nothing about the reply.
const CLIENT_ERRORS: [u32; 21] = [
    2, 3, 4, 5, 6, 7, 23, 25, 26, 27, 33, 34, 36, 37, 43, 49, 60, 65, 67, 77, 94,
];

/// Where curl puts the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Where the runner compares it with the reply; that of further URLs is not compared.
    Runner,
    /// Standard output, that of all URLs.
    Stdout,
    /// Into this file; `None` for a name that curl finds itself.
    File(Option<String>),
}

/// What a command asks for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// URLs to get, one after the other.
    pub urls: Vec<String>,
    /// Redirects are followed.
    pub follow: bool,
    /// At most so many.
    pub redirects: usize,
    /// curl undoes content codings.
    pub compressed: bool,
    /// Status codes from 400 on are an error of curl's; with the body, or without.
    pub fail: bool,
    /// Heads are part of the output.
    pub heads: bool,
    /// Where the first response goes.
    pub output: Output,
    /// `-w` writes to standard output too.
    pub written: bool,
    /// File of `-D`.
    pub head_file: Option<String>,
    /// curl's exit code.
    pub code: u32,
    /// What the URLs are fetched through.
    pub through: Option<Through>,
}

impl Plan {
    /// What the command of `script` asks for, for a server on `port`.
    pub fn of(script: &Script, port: u16) -> Result<Self, Reason> {
        let command = script.part("client", "command").ok_or(NOTHING)?;
        if let Some(reason) = obstacle(script, command) {
            return Err(reason);
        }
        let codes = script.lines("verify", "errorcode");
        let code = codes
            .first()
            .and_then(|c| c.split(',').next()?.parse().ok());
        let options = command.attribute("option").unwrap_or_default();
        let stdout = script.part("verify", "stdout").is_some();
        let to_runner =
            !options.contains("no-output") && (!stdout || options.contains("force-output"));
        let mut plan = Self {
            urls: Vec::new(),
            follow: false,
            redirects: 50,
            compressed: false,
            fail: false,
            heads: !options.contains("no-include"),
            output: match to_runner {
                true => Output::Runner,
                false => Output::Stdout,
            },
            written: false,
            head_file: None,
            code: code.unwrap_or(0),
            through: None,
        };
        let text = String::from_utf8_lossy(&command.bytes()).into_owned();
        plan.read(script, &words(&text), port)?;
        // To a proxy these are errors of its own.
        let of_proxy = plan.through.is_some() && matches!(plan.code, 7 | 43);
        if CLIENT_ERRORS.contains(&plan.code) && !of_proxy {
            return Err(CLIENT);
        }
        let reply = |name| script.part("reply", name).is_some();
        let refusal = plan.through.is_some() && reply("connect");
        match reply("data") || refusal {
            true => Ok(plan),
            false => Err(NOTHING),
        }
    }

    fn read(&mut self, script: &Script, words: &[String], port: u16) -> Result<(), Reason> {
        let mut words = words.iter();
        let mut proxy = Options::default();
        let mut named = false;
        while let Some(word) = words.next() {
            if !word.starts_with('-') || word == "-" {
                self.urls.push(word.clone());
                continue;
            }
            if word.starts_with("--") {
                let mut value = || words.next().cloned();
                named |= matches!(word.as_str(), "--resolve" | "--connect-to");
                match proxy.take(word, &mut value) {
                    Some(taken) => taken?,
                    None => self.option(word, &mut value)?,
                }
                continue;
            }
            // Short options may stand together, the last one with its value.
            for (at, letter) in word[1..].char_indices() {
                let rest = &word[1 + at + letter.len_utf8()..];
                let mut taken = false;
                let mut value = || {
                    taken = true;
                    if rest.is_empty() {
                        words.next().cloned()
                    } else {
                        Some(rest.to_string())
                    }
                };
                let name = format!("-{letter}");
                match proxy.take(&name, &mut value) {
                    Some(taken) => taken?,
                    None => self.option(&name, &mut value)?,
                }
                if taken {
                    break;
                }
            }
        }
        // Behind all options: what they say is the better reason.
        self.through = proxy.through(script, &self.urls, named)?;
        // With TLS no more than the proxy's refusal can be had.
        let refused = self.through.is_some() && script.part("reply", "data").is_none();
        for url in &mut self.urls {
            *url = absolute(url, named || self.through.is_some(), refused, port)?;
        }
        if self.urls.is_empty() {
            Err(NOTHING)
        } else {
            Ok(())
        }
    }

    fn option(
        &mut self,
        name: &str,
        value: &mut dyn FnMut() -> Option<String>,
    ) -> Result<(), Reason> {
        match name {
            "-L" | "--location" | "--location-trusted" => self.follow = true,
            "--max-redirs" => self.redirects = value().and_then(|v| v.parse().ok()).unwrap_or(0),
            "--compressed" => self.compressed = true,
            "--no-remote-name" | "-G" | "--get" | "--tr-encoding" | "--http0.9" => {}
            "-f" | "--fail" | "--fail-with-body" => self.fail = true,
            "-o" | "--output" => {
                let file = value().filter(|f| f != "-");
                if file.is_some() && self.output == Output::Stdout {
                    self.output = Output::File(file);
                }
            }
            "-O" | "-J" | "--remote-name" | "--remote-header-name" | "--remote-name-all" => {
                if self.output == Output::Stdout {
                    self.output = Output::File(None);
                }
            }
            "-w" | "--write-out" => {
                self.written = true;
                value();
            }
            "--url" => {
                let url = value().unwrap_or_default();
                if url.starts_with('@') {
                    return Err(FILES);
                }
                self.urls.push(url);
            }
            "-D" | "--dump-header" => self.head_file = value(),
            "-i" | "--include" | "--show-headers" => self.heads = true,
            "-X" | "--request" => {
                let method = value().unwrap_or_default();
                if matches!(method.as_str(), "HEAD" | "CONNECT") {
                    return Err(HEAD);
                }
            }
            "-H" | "--header" => {
                let field = value().unwrap_or_default().to_ascii_lowercase();
                if field.starts_with("authorization: digest") {
                    return Err(AUTH);
                }
                if field.starts_with("range:") {
                    return Err(RANGE);
                }
            }
            _ => {
                if VALUED.contains(&name) {
                    value();
                } else if let Some(other) = OTHER.iter().find(|o| o.1.contains(&name)) {
                    return Err(other.0);
                } else if !PLAIN.contains(&name) {
                    panic!("unknown option {name}");
                }
            }
        }
        Ok(())
    }
}

/// What in a test besides its options makes it inexpressible.
fn obstacle(script: &Script, command: &Part) -> Option<Reason> {
    let servers = script.lines("client", "server");
    let commands = script.lines("reply", "servercmd");
    let unspoken = |s: &String| matches!(s.as_str(), "socks4" | "socks5unix" | "https-proxy");
    // Where a proxy refuses, and nothing else is had, the server is not reached.
    let part = |name| script.part("reply", name).is_some();
    let reached = part("data") || !part("connect");
    let spoken = |s: &String| match s.as_str() {
        "http" | "http-ipv6" | "http-proxy" | "socks5" => true,
        "https" => !reached,
        _ => false,
    };
    if servers.iter().any(unspoken) {
        Some(KIND)
    } else if !servers.iter().all(spoken) {
        Some(SERVER)
    } else if script.part("client", "tool").is_some() || command.attribute("type").is_some() {
        Some(LIBRARY)
    } else if commands.iter().any(|c| c == "auth_required") {
        Some(AUTH)
    } else if commands.iter().any(|c| c == "no-expect") {
        Some(RETRY)
    } else {
        None
    }
}

/// An argument of the command as a URL that the server has the answer to.
fn absolute(word: &str, named: bool, tls: bool, port: u16) -> Result<String, Reason> {
    // Brackets with colons hold an address.
    let bracketed = word
        .split_once("//[")
        .and_then(|(_, rest)| rest.split_once(']'));
    if word.contains(['{', '[']) && !bracketed.is_some_and(|(inner, _)| inner.contains(':')) {
        return Err(GLOB);
    }
    let url = match word.contains(":/") {
        true => word.to_string(),
        false => format!("http://{word}"),
    };
    let scheme = url.to_ascii_lowercase();
    let spoken = match tls {
        true => scheme.starts_with("http:/") || scheme.starts_with("https:/"),
        false => scheme.starts_with("http:/"),
    };
    if !spoken {
        return Err(SCHEME);
    }
    let hosts = ["127.0.0.1", "[::1]", "localhost"];
    let ours = hosts.map(|host| format!("{host}:{port}"));
    if !named && !ours.iter().any(|o| url.contains(o)) {
        return Err(SCHEME);
    }
    Ok(url)
}

/// Splits a command as a shell does, without expanding anything.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (_, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, None) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn commands_are_split_as_a_shell_does() {
    let expected = ["-H", "A: \"b\"", "-sS", "x y", "", "z"];
    assert_eq!(words("-H \"A: \\\"b\\\"\" -sS 'x y' '' z\n"), expected);
}
