//! curl's command line, as far as a crawler can do the same: which URLs to get, and where curl puts the answer. What it
//! cannot do has a reason, by which such tests are counted.
//!
//! Options that change only what is sent (fields, credentials sent without being asked, another method) are passed over:
//! the server does not look at them, and the reply is read alike. `HEAD` is not, since it changes how replies are read.

use super::script::Script;

/// Why a test says nothing about a crawler's reading of replies.
pub type Reason = &'static str;

const PROXY: Reason = "through a proxy";
const AUTH: Reason = "a dialogue of challenges (Digest, NTLM, Negotiate, any)";
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
const PLAIN: [&str; 42] = [
    "-s",
    "-S",
    "-i",
    "-0",
    "-4",
    "-6",
    "-g",
    "-#",
    "-v",
    "-k",
    "-N",
    "-j",
    "-q",
    "-R",
    "-a",
    "--silent",
    "--show-error",
    "--include",
    "--show-headers",
    "--http1.0",
    "--http1.1",
    "--http2",
    "--ipv4",
    "--ipv6",
    "--xattr",
    "--create-dirs",
    "--no-progress-meter",
    "--no-keepalive",
    "--form-escape",
    "--path-as-is",
    "--no-include",
    "--post301",
    "--post302",
    "--post303",
    "--location-trusted",
    "--basic",
    "--no-http0.9",
    "--compressed-ssh",
    "--fail-early",
    "--remote-time",
    "--haproxy-protocol",
    "--disallow-username-in-url",
];

/// Options with a value that do not change how a reply is read.
const VALUED: [&str; 40] = [
    "-H",
    "-A",
    "-e",
    "-b",
    "-c",
    "-d",
    "-F",
    "-u",
    "-T",
    "-m",
    "--header",
    "--referer",
    "--user-agent",
    "--cookie",
    "--cookie-jar",
    "--data",
    "--data-binary",
    "--data-urlencode",
    "--data-raw",
    "--form",
    "--form-string",
    "--json",
    "--user",
    "--upload-file",
    "--max-time",
    "--output-dir",
    "--resolve",
    "--connect-to",
    "--interface",
    "--noproxy",
    "--stderr",
    "--libcurl",
    "--expect100-timeout",
    "--url-query",
    "--trace-config",
    "--oauth2-bearer",
    "--haproxy-clientip",
    "--limit-rate",
    "--keepalive-time",
    "--hsts-ignored",
];

/// Options with and without a value that make a test inexpressible.
const OTHER: [(&str, bool, Reason); 74] = [
    ("-x", true, PROXY),
    ("--proxy", true, PROXY),
    ("-U", true, PROXY),
    ("--proxy-user", true, PROXY),
    ("-p", false, PROXY),
    ("--proxytunnel", false, PROXY),
    ("--socks5", true, PROXY),
    ("--socks4", true, PROXY),
    ("--socks4a", true, PROXY),
    ("--socks5-hostname", true, PROXY),
    ("--proxy1.0", true, PROXY),
    ("--preproxy", true, PROXY),
    ("--proxy-header", true, PROXY),
    ("--proxy-ntlm", false, PROXY),
    ("--proxy-digest", false, PROXY),
    ("--proxy-anyauth", false, PROXY),
    ("--proxy-tlsv1", false, PROXY),
    ("--suppress-connect-headers", false, PROXY),
    ("--digest", false, AUTH),
    ("--ntlm", false, AUTH),
    ("--negotiate", false, AUTH),
    ("--anyauth", false, AUTH),
    ("--no-basic", false, AUTH),
    ("--aws-sigv4", true, AUTH),
    ("-n", false, FILES),
    ("--netrc", false, FILES),
    ("--netrc-optional", false, FILES),
    ("--netrc-file", true, FILES),
    ("-K", true, FILES),
    ("--config", true, FILES),
    ("--variable", true, FILES),
    ("--expand-data", true, FILES),
    ("--expand-url", true, FILES),
    ("--expand-output", true, FILES),
    ("--skip-existing", false, FILES),
    ("--no-clobber", false, FILES),
    ("--clobber", false, FILES),
    ("--remove-on-error", false, FILES),
    ("--ipfs-gateway", true, FILES),
    ("-C", true, RANGE),
    ("-r", true, RANGE),
    ("--range", true, RANGE),
    ("-z", true, RANGE),
    ("--etag-save", true, RANGE),
    ("--etag-compare", true, RANGE),
    ("--continue-at", true, RANGE),
    ("-I", false, HEAD),
    ("--head", false, HEAD),
    ("--retry", true, RETRY),
    ("--retry-all-errors", false, RETRY),
    ("--retry-max-time", true, RETRY),
    ("--raw", false, OPTION),
    ("--ignore-content-length", false, OPTION),
    ("--max-filesize", true, OPTION),
    ("--alt-svc", true, OPTION),
    ("--hsts", true, OPTION),
    ("--proto", true, OPTION),
    ("--proto-redir", true, OPTION),
    ("--request-target", true, OPTION),
    ("--doh-url", true, OPTION),
    ("--next", false, GLOB),
    ("-:", false, GLOB),
    ("--http2-prior-knowledge", false, SERVER),
    ("--use-ascii", false, OPTION),
    ("-B", false, OPTION),
    ("--unix-socket", true, SERVER),
    ("--abstract-unix-socket", true, SERVER),
    ("-Z", false, GLOB),
    ("--parallel", false, GLOB),
    ("--tls-max", true, SERVER),
    ("--proxy-http2", false, PROXY),
    ("--ssl-reqd", false, SERVER),
    ("-X", true, HEAD),
    ("--request", true, HEAD),
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
    /// curl asks for (and undoes) transfer codings.
    pub transfer_codings: bool,
    /// curl takes replies without a head.
    pub http09: bool,
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
}

impl Plan {
    /// What the command of `script` asks for, for a server on `port`.
    pub fn of(script: &Script, port: u16) -> Result<Self, Reason> {
        let servers = script.lines("client", "server");
        if servers
            .iter()
            .any(|s| s.contains("proxy") || s.contains("socks"))
        {
            return Err(PROXY);
        }
        if servers.iter().any(|s| s != "http" && s != "http-ipv6") {
            return Err(SERVER);
        }
        if script.part("client", "tool").is_some() {
            return Err(LIBRARY);
        }
        let setenv = script.lines("client", "setenv");
        if setenv.iter().any(|v| v.to_lowercase().contains("proxy=")) {
            return Err(PROXY);
        }
        let commands = script.lines("reply", "servercmd");
        if commands.iter().any(|c| c == "auth_required") {
            return Err(AUTH);
        }
        if commands.iter().any(|c| c == "no-expect") {
            return Err(RETRY);
        }
        let command = script.part("client", "command").ok_or(NOTHING)?;
        if command.attribute("type").is_some() {
            return Err(LIBRARY);
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
            transfer_codings: false,
            http09: false,
            fail: false,
            heads: !options.contains("no-include"),
            output: match to_runner {
                true => Output::Runner,
                false => Output::Stdout,
            },
            written: false,
            head_file: None,
            code: code.unwrap_or(0),
        };
        let text = String::from_utf8_lossy(&command.bytes()).into_owned();
        plan.read(&words(&text), port)?;
        if CLIENT_ERRORS.contains(&plan.code) {
            return Err(CLIENT);
        }
        if script.part("reply", "data").is_none() {
            return Err(NOTHING);
        }
        Ok(plan)
    }

    fn read(&mut self, words: &[String], port: u16) -> Result<(), Reason> {
        let mut words = words.iter();
        let mut named = false;
        while let Some(word) = words.next() {
            if !word.starts_with('-') || word == "-" {
                self.urls.push(word.clone());
                continue;
            }
            if word.starts_with("--") {
                let mut value = || words.next().cloned();
                named |= matches!(word.as_str(), "--resolve" | "--connect-to");
                self.option(word, &mut value)?;
                continue;
            }
            // Short options may stand together, the last one with its value.
            let mut letters = word[1..].char_indices();
            while let Some((at, letter)) = letters.next() {
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
                self.option(&format!("-{letter}"), &mut value)?;
                if taken {
                    break;
                }
            }
        }
        // Behind all options: what they say is the better reason.
        for url in &mut self.urls {
            *url = absolute(url, named, port)?;
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
            "-L" | "--location" => self.follow = true,
            "--max-redirs" => self.redirects = value().and_then(|v| v.parse().ok()).unwrap_or(0),
            "--compressed" => self.compressed = true,
            "--tr-encoding" => self.transfer_codings = true,
            "--http0.9" => self.http09 = true,
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
            "--no-remote-name" => {}
            "-G" | "--get" => {}
            "--url" => {
                let url = value().unwrap_or_default();
                return if url.starts_with('@') {
                    Err(FILES)
                } else {
                    Ok(self.urls.push(url))
                };
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
                } else if let Some(other) = OTHER.iter().find(|o| o.0 == name) {
                    return Err(other.2);
                } else if !PLAIN.contains(&name) {
                    panic!("unknown option {name}");
                }
            }
        }
        Ok(())
    }
}

/// An argument of the command as a URL that the server has the answer to.
fn absolute(word: &str, named: bool, port: u16) -> Result<String, Reason> {
    if word.contains(['{', '[']) && !word.contains("[::1]") {
        return Err(GLOB);
    }
    let url = match word.contains(":/") {
        true => word.to_string(),
        false => format!("http://{word}"),
    };
    if !url.to_ascii_lowercase().starts_with("http:/") {
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
