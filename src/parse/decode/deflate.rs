//! gzip and deflate: libdeflate for whole bodies, a streaming inflater for all that it cannot do.
//!
//! What must hold: both ways give the same bytes for the same body; the streaming one is exact about where members end
//! and what a cut body still yields. Deliberately absent: the header's name, comment and time.

use super::Why;
use super::room::Out;
use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{DecompressionError, Decompressor};

/// First bytes of a gzip member with the only method there is (RFC 1952 2.3.1).
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// gzip (RFC 1952), any number of members; bytes after the last one are ignored, as browsers do.
pub(super) fn gzip(
    input: &[u8],
    out: &mut Out<'_>,
    whole: &mut Decompressor,
    raw: &mut Decompress,
) -> (usize, Option<Why>) {
    // libdeflate stops after the first member without telling, so any sign of a second one goes the exact way.
    let several = input.len() > 18 && memchr::memmem::find(&input[1..], &GZIP_MAGIC).is_some();
    let size = input.last_chunk::<4>().map(|c| u32::from_le_bytes(*c));
    if !several && let Some(size) = size {
        out.want((size as usize).saturating_add(1));
        if let Some(n) = at_once(out, |room| whole.gzip_decompress(input, room)) {
            return (n, None);
        }
    }
    gzip_stream(input, out, raw)
}

/// Runs a whole-body decompressor with growing room. `None` where the limit or the data stopped it.
fn at_once(
    out: &mut Out<'_>,
    mut run: impl FnMut(&mut [u8]) -> Result<usize, DecompressionError>,
) -> Option<usize> {
    loop {
        match run(out.whole_slice()) {
            Ok(n) => return Some(n),
            Err(DecompressionError::InsufficientSpace) if out.grow() => {}
            Err(_) => {
                out.start_again();
                return None;
            }
        }
    }
}

/// gzip member by member.
fn gzip_stream(input: &[u8], out: &mut Out<'_>, raw: &mut Decompress) -> (usize, Option<Why>) {
    let (mut at, mut n) = (0, 0);
    loop {
        let member = &input[at..];
        let header = match gzip_header(member) {
            Ok(header) => header,
            Err(_) if at > 0 && !member.starts_with(&GZIP_MAGIC) => return (n, None),
            Err(why) => return (n, Some(why)),
        };
        let from = n;
        let data = &member[header..];
        raw.reset(false);
        let (used, end, why) = inflate(data, out, from, raw);
        n = end;
        if why.is_some() || n == out.most {
            return (n, why);
        }
        let Some(trailer) = data[used..].first_chunk::<8>() else {
            return (n, Some(Why::Ended));
        };
        let [a, b, c, d, rest @ ..] = *trailer;
        let crc = u32::from_le_bytes([a, b, c, d]);
        let size = u32::from_le_bytes(rest);
        let content = &out.slice()[from..n];
        if size != content.len() as u32 || crc != libdeflater::crc32(content) {
            return (n, Some(Why::Corrupt));
        }
        at += header + used + 8;
        if at == input.len() {
            return (n, None);
        }
    }
}

/// Length of a gzip member's header (RFC 1952 2.3).
fn gzip_header(member: &[u8]) -> Result<usize, Why> {
    if !member.starts_with(&GZIP_MAGIC[..member.len().min(3)]) {
        return Err(Why::Corrupt);
    }
    let flags = *member.get(3).ok_or(Why::Ended)?;
    let mut at = 10;
    if flags & 4 != 0 {
        let len = member.get(at..at + 2).ok_or(Why::Ended)?;
        at += 2 + usize::from(u16::from_le_bytes([len[0], len[1]]));
    }
    for text in [8, 16] {
        if flags & text != 0 {
            let rest = member.get(at..).ok_or(Why::Ended)?;
            at += memchr::memchr(0, rest).ok_or(Why::Ended)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    if at > member.len() {
        return Err(Why::Ended);
    }
    Ok(at)
}

/// Streams `data` through `state` behind the first `n` bytes of `out`: bytes read, end of the output, defect.
/// A result that fills `out.most` exceeds the limit.
fn inflate(
    data: &[u8],
    out: &mut Out<'_>,
    mut n: usize,
    state: &mut Decompress,
) -> (usize, usize, Option<Why>) {
    let mut used = 0;
    if n == out.slice().len() && !out.grow() {
        return (used, n, None);
    }
    loop {
        let room = &mut out.slice()[n..];
        let full = room.len();
        let (before_in, before_out) = (state.total_in(), state.total_out());
        let status = state.decompress(&data[used..], room, FlushDecompress::None);
        let wrote = (state.total_out() - before_out) as usize;
        let read = (state.total_in() - before_in) as usize;
        used += read;
        n += wrote;
        match status {
            Ok(Status::StreamEnd) => return (used, n, None),
            Err(_) => return (used, n, Some(Why::Corrupt)),
            Ok(_) if wrote == full => {
                if !out.grow() {
                    return (used, n, None);
                }
            }
            Ok(_) if used == data.len() => return (used, n, Some(Why::Ended)),
            Ok(_) if read + wrote == 0 => return (used, n, Some(Why::Corrupt)),
            Ok(_) => {}
        }
    }
}

/// deflate: zlib (RFC 1950) as HTTP means it, else the raw stream that some servers send.
pub(super) fn deflate(
    input: &[u8],
    out: &mut Out<'_>,
    whole: &mut Decompressor,
    zlib: &mut Decompress,
    raw: &mut Decompress,
) -> (usize, Option<Why>) {
    out.want(input.len().saturating_mul(4));
    let headed = input.len() >= 2
        && input[0] & 15 == 8
        && u16::from_be_bytes([input[0], input[1]]).is_multiple_of(31);
    if headed {
        if let Some(n) = at_once(out, |room| whole.zlib_decompress(input, room)) {
            return (n, None);
        }
        zlib.reset(true);
        let (_, n, why) = inflate(input, out, 0, zlib);
        if n > 0 {
            return (n, why);
        }
    }
    if let Some(n) = at_once(out, |room| whole.deflate_decompress(input, room)) {
        return (n, None);
    }
    raw.reset(false);
    let (_, n, why) = inflate(input, out, 0, raw);
    (n, why)
}
