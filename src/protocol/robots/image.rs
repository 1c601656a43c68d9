//! The persistent form of [`Rules`], for the host images of checkpoints. Little-endian:
//!
//! ```text
//! version u8 | delay_ms u32 | simplified u32 | rules u32 | rules × (len u16, flags u8) | patterns, one behind the other
//! ```
//!
//! What must hold: decoding any bytes gives rules that could have been parsed from a file, or nothing. Sizes are checked
//! before anything is allocated.

use super::pattern::WILD;
use super::{Rule, Rules};
use crate::limits::CRAWL_DELAY_MAX_S;

const VERSION: u8 = 1;
/// In place of a delay: none was given.
const NO_DELAY: u32 = u32::MAX;
const HEAD_BYTES: usize = 13;
const RULE_BYTES: usize = 3;
const ALLOW: u8 = 1;
const ANCHORED: u8 = 2;

pub(super) fn encode(rules: &Rules, out: &mut Vec<u8>) {
    out.reserve(HEAD_BYTES + rules.rules.len() * RULE_BYTES + rules.text.len());
    out.push(VERSION);
    out.extend_from_slice(&rules.delay_ms.unwrap_or(NO_DELAY).to_le_bytes());
    out.extend_from_slice(&rules.simplified.to_le_bytes());
    out.extend_from_slice(&(rules.rules.len() as u32).to_le_bytes());
    for rule in &rules.rules {
        out.extend_from_slice(&rule.len.to_le_bytes());
        out.push(u8::from(rule.allow) * ALLOW + u8::from(rule.anchored) * ANCHORED);
    }
    out.extend_from_slice(&rules.text);
}

pub(super) fn decode(bytes: &[u8]) -> Option<Rules> {
    let (&[VERSION], rest) = bytes.split_first_chunk()? else {
        return None;
    };
    let (delay_ms, rest) = rest.split_first_chunk()?;
    let (simplified, rest) = rest.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let delay_ms = Some(u32::from_le_bytes(*delay_ms)).filter(|&ms| ms != NO_DELAY);
    if delay_ms.is_some_and(|ms| u64::from(ms) > CRAWL_DELAY_MAX_S * 1_000) {
        return None;
    }
    let index_bytes = (u32::from_le_bytes(*count) as usize).checked_mul(RULE_BYTES)?;
    let (index, text) = rest.split_at_checked(index_bytes)?;
    let mut rules: Vec<Rule> = Vec::with_capacity(index.len() / RULE_BYTES);
    let mut at = 0;
    for entry in index.chunks_exact(RULE_BYTES) {
        let len = u16::from_le_bytes([entry[0], entry[1]]);
        let flags = entry[2];
        let pattern = text.get(at..at + len as usize)?;
        let rule = Rule {
            at: u32::try_from(at).ok()?,
            len,
            allow: flags & ALLOW != 0,
            anchored: flags & ANCHORED != 0,
            wild: pattern.contains(&WILD),
        };
        let in_order = rules
            .last()
            .is_none_or(|before| before.rank() >= rule.rank());
        if flags > ALLOW + ANCHORED || !in_order {
            return None;
        }
        at += len as usize;
        rules.push(rule);
    }
    (at == text.len()).then(|| Rules {
        text: text.into(),
        rules: rules.into(),
        delay_ms,
        simplified: u32::from_le_bytes(*simplified),
    })
}
