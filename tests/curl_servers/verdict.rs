//! Our answer beside curl's: the exit code against the outcome, and what curl printed against head and body.

use super::command::{Output, Plan};
use super::proxy::asked_alike;
use super::replay::{Answer, Replayed};
use super::script::{Part, Script};
use cyclosa::event::Outcome;
use cyclosa::parse::decode::Why;

/// How ours compares with curl's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Alike; `bytes` where head and body were compared too, which curl's files do not always allow, `asked` where what the
    /// proxy was asked for was.
    Same { bytes: bool, asked: bool },
    /// Otherwise: how.
    Differs(String),
}

/// What the file expects is not what its server sends, and curl's runner does not look at it.
const UNCHECKED: [u32; 1] = [999];

/// Compares what came of a test.
pub fn compare(replayed: &Replayed) -> Verdict {
    let Replayed {
        script,
        plan,
        transcript,
        ..
    } = replayed;
    let Some(last) = transcript.last().and_then(|chain| chain.last()) else {
        let what = match transcript.is_empty() {
            true => "the proxy's login",
            false => "the URL",
        };
        return Verdict::Differs(format!("{what} is refused"));
    };
    if !fits(plan, last) {
        let ours = match last.defect.filter(|_| last.outcome == Outcome::Fetched) {
            Some(why) => why.name(),
            None => last.outcome.name(),
        };
        let status = last.status;
        return Verdict::Differs(format!(
            "curl exits with {}, ours is {ours} ({status})",
            plan.code
        ));
    }
    let asked = match asked_alike(replayed) {
        Ok(asked) => asked,
        Err(how) => return Verdict::Differs(how),
    };
    let same = |bytes| Verdict::Same { bytes, asked };
    let bytes = match expected(script, plan) {
        // What `--fail` leaves out, and what is not kept of a reply that is none, cannot be compared.
        Some(expected) if last.outcome.has_response() && !(plan.fail && last.status >= 400) => {
            without_tunnels(script, &expected)
        }
        _ => return same(false),
    };
    // Heads printed twice, line by line.
    if plan.output == Output::Stdout && plan.head_file.as_deref() == Some("-") {
        return same(false);
    }
    let chains = match plan.output {
        Output::Stdout => &transcript[..],
        _ => &transcript[..1],
    };
    let ours: Vec<Vec<u8>> = chains.iter().map(|chain| printed(plan, chain)).collect();
    let alike = match plan.output == Output::Stdout && plan.written {
        true => in_order(&bytes, &ours),
        false => without_interim(&bytes) == without_interim(&ours.concat()),
    };
    if alike {
        return same(true);
    }
    Verdict::Differs(format!(
        "curl prints {}, ours is {}",
        shown(&bytes),
        shown(&ours.concat())
    ))
}

/// Whether curl's exit code and the outcome say the same.
fn fits(plan: &Plan, last: &Answer) -> bool {
    use Outcome::*;
    let received = last.outcome.has_response();
    // curl stops at the defect, however the body would have ended.
    let coding = plan.compressed && received && last.defect.is_some();
    let clean = last.outcome == Fetched && !coding && !last.beyond;
    let refused = matches!(
        last.outcome,
        ProxyRefused | ProxyFailed | ConnectFailed | ConnectTimeout
    );
    match plan.code {
        7 | 43 => last.outcome == ProxyFailed,
        97 => refused,
        56 if refused => plan.through.is_some(),
        0 => clean,
        22 => plan.fail && received && last.status >= 400,
        1 | 8 | 16 => last.outcome == BadResponse,
        18 => last.outcome == CutDisconnect || coding && last.defect == Some(Why::Ended),
        61 => coding || last.outcome == BadResponse,
        28 => matches!(last.outcome, CutTime | FirstByteTimeout),
        47 => last.beyond,
        52 => last.outcome == ClosedEarly,
        56 => matches!(
            last.outcome,
            BadResponse | HeadTooLarge | CutDisconnect | ClosedEarly
        ),
        100 => last.outcome == HeadTooLarge,
        _ => false,
    }
}

/// What curl printed, as far as its files say: the reply, or what the reply is checked against, or a file.
fn expected(script: &Script, plan: &Plan) -> Option<Vec<u8>> {
    let all = |parts: Vec<&Part>| -> Vec<u8> { parts.iter().flat_map(|p| p.bytes()).collect() };
    match &plan.output {
        _ if UNCHECKED.contains(&script.number) => None,
        Output::Stdout => script.part("verify", "stdout").map(Part::bytes),
        Output::Runner => {
            let checks = script
                .section("reply")
                .filter(|p| p.name.starts_with("datacheck"));
            let checks: Vec<&Part> = checks.collect();
            if !checks.is_empty() {
                let checked = checks.iter().all(|p| !p.is("nocheck"));
                return checked.then(|| all(checks));
            }
            let data = script.part("reply", "data")?;
            (!data.is("nocheck")).then(|| data.bytes())
        }
        Output::File(name) => {
            let mut files = script.section("verify").filter(|p| {
                let file = p.attribute("name");
                let wanted = name.is_none() || file == name.as_deref();
                p.name.starts_with("file") && wanted && file != plan.head_file.as_deref()
            });
            let file = files.next()?;
            files.next().is_none().then(|| file.bytes())
        }
    }
}

/// What curl would print of our answers to one URL: heads, and the body of the last one.
fn printed(plan: &Plan, chain: &[Answer]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for answer in chain {
        if plan.heads {
            bytes.extend_from_slice(&answer.head);
        }
        if !answer.followed && !answer.beyond {
            bytes.extend_from_slice(if plan.compressed {
                &answer.plain
            } else {
                &answer.body
            });
        }
    }
    bytes
}

/// Without what the proxy answers to CONNECT, which curl prints before the head of the server, and a crawler does not keep.
fn without_tunnels(script: &Script, bytes: &[u8]) -> Vec<u8> {
    let answer = script.part("reply", "connect").map(Part::bytes);
    // A refusal opens no tunnel.
    let Some(answer) = answer.filter(|a| a.starts_with(b"HTTP/1.1 2")) else {
        return bytes.to_vec();
    };
    let (mut out, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        rest = match rest.strip_prefix(&answer[..]) {
            Some(behind) => behind,
            None => {
                out.push(rest[0]);
                &rest[1..]
            }
        };
    }
    out
}

/// Without interim heads, which curl prints and a crawler drops.
fn without_interim(bytes: &[u8]) -> Vec<u8> {
    let mut interim = false;
    let lines = bytes.split_inclusive(|b| *b == b'\n').filter(|line| {
        let starts = line.starts_with(b"HTTP/1.1 1");
        let dropped = interim || starts;
        interim = dropped && !line.trim_ascii().is_empty();
        !dropped
    });
    lines.flatten().copied().collect()
}

/// Whether the parts stand in `text` one behind the other, with anything between them.
fn in_order(text: &[u8], parts: &[Vec<u8>]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| {
        let at = match part.is_empty() {
            true => Some(0),
            false => rest.windows(part.len()).position(|w| w == part.as_slice()),
        };
        rest = &rest[at.map_or(rest.len(), |at| at + part.len())..];
        at.is_some()
    })
}

fn shown(bytes: &[u8]) -> String {
    let more = if bytes.len() > 400 { "..." } else { "" };
    format!("\"{}\"{more}", bytes[..bytes.len().min(400)].escape_ascii())
}
