//! An answer on its way: a list of pieces, most of them shared, that `writev` sends without copying them together.
//!
//! What must hold: the cursor counts every byte once, whatever the socket takes at a time. Buffers are reused from
//! answer to answer. Deliberately absent: knowledge of what the pieces mean.

use super::blocks::Blocks;
use super::gzip::{self, RUN_MAX, STORED_HEADER, Trailer};
use super::path::decimal;
use std::io::IoSlice;

/// Pieces given to one `writev`.
pub const SLICES: usize = 64;
/// A chunk ends with the piece that takes it past this size, bytes.
const CHUNK_BYTES: usize = 8 << 10;

/// A piece of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Bytes of the answer's own buffer.
    Own { at: u32, len: u32 },
    /// A block of the pool, plain.
    Plain(u16),
    /// A block of the pool, deflated.
    Packed(u16),
}

/// A response: head, body pieces, and how far it has been sent.
#[derive(Debug, Default)]
pub struct Response {
    /// Status line and fields, with the empty line.
    pub head: Vec<u8>,
    own: Vec<u8>,
    run: usize,
    parts: Vec<Part>,
    framed: Vec<Part>,
    next: usize,
    at: usize,
    left: usize,
}

impl Response {
    /// Empties it for the next answer; keeps the buffers unless a large answer made them large.
    pub fn clear(&mut self) {
        self.head.clear();
        self.own.clear();
        self.parts.clear();
        self.parts.shrink_to(4 << 10);
        self.framed.clear();
        self.framed.shrink_to(4 << 10);
        // The first part is room for what goes before the body once it is known.
        self.parts.push(Part::Own { at: 0, len: 0 });
        self.own.extend_from_slice(&[0; STORED_HEADER]);
        self.run = STORED_HEADER;
        (self.next, self.at, self.left) = (0, 0, 0);
    }

    /// The body's own text is appended here, between blocks; at most [`RUN_MAX`] bytes before the next
    /// [`close_run`](Self::close_run).
    #[inline]
    pub fn text(&mut self) -> &mut Vec<u8> {
        &mut self.own
    }

    /// Closes the run of text if it is long enough that more might not fit.
    #[inline]
    pub fn close_long_run(&mut self) {
        if self.own.len() - self.run > RUN_MAX / 2 {
            self.close_run();
        }
    }

    /// Ends a run of own text. In front of each run room is left for the header of a stored block.
    pub fn close_run(&mut self) {
        let len = self.own.len() - self.run;
        if len == 0 {
            return;
        }
        self.parts.push(Part::Own {
            at: self.run as u32,
            len: len as u32,
        });
        self.own.extend_from_slice(&[0; STORED_HEADER]);
        self.run = self.own.len();
    }

    /// A block of the pool comes next in the body.
    #[inline]
    pub fn block(&mut self, index: u16) {
        self.close_run();
        self.parts.push(Part::Plain(index));
    }

    /// Appends bytes outside of the runs, and says where they are.
    fn aside(&mut self, bytes: &[u8]) -> Part {
        let at = self.own.len() as u32;
        self.own.extend_from_slice(bytes);
        self.run = self.own.len();
        Part::Own {
            at,
            len: bytes.len() as u32,
        }
    }

    /// Turns the closed body into one gzip member.
    pub fn pack(&mut self, blocks: &Blocks) {
        let mut trailer = Trailer::default();
        for part in &mut self.parts[1..] {
            match part {
                Part::Own { at, len } => {
                    let (from, size) = (*at as usize, *len as usize);
                    trailer.add(
                        gzip::crc(&self.own[from..from + size]),
                        size,
                        blocks.shifts.of(size),
                    );
                    let header = gzip::stored_header(size as u16);
                    self.own[from - STORED_HEADER..from].copy_from_slice(&header);
                    *at -= STORED_HEADER as u32;
                    *len += STORED_HEADER as u32;
                }
                Part::Plain(index) => {
                    let block = blocks.get(*index);
                    trailer.add(block.crc, block.len(), block.shift);
                    *part = Part::Packed(*index);
                }
                Part::Packed(_) => {}
            }
        }
        self.parts[0] = self.aside(&gzip::HEADER);
        let mut end = Vec::with_capacity(10);
        trailer.finish(&mut end);
        let end = self.aside(&end);
        self.parts.push(end);
    }

    /// Length of the body as it stands, bytes.
    pub fn body_len(&self, blocks: &Blocks) -> usize {
        self.parts.iter().map(|p| self.part_len(*p, blocks)).sum()
    }

    /// Cuts the body into chunks (RFC 9112 7.1).
    pub fn chunk(&mut self, blocks: &Blocks) {
        let mut line = Vec::with_capacity(16);
        let mut at = 0;
        while at < self.parts.len() {
            let (start, mut size) = (at, 0);
            while at < self.parts.len() && size < CHUNK_BYTES {
                size += self.part_len(self.parts[at], blocks);
                at += 1;
            }
            if size == 0 {
                continue;
            }
            if !line.is_empty() {
                line.clear();
                line.extend_from_slice(b"\r\n");
            }
            hexadecimal(&mut line, size);
            line.extend_from_slice(b"\r\n");
            let header = self.aside(&line);
            self.framed.push(header);
            self.framed.extend_from_slice(&self.parts[start..at]);
        }
        let last: &[u8] = if line.is_empty() {
            b"0\r\n\r\n"
        } else {
            b"\r\n0\r\n\r\n"
        };
        let last = self.aside(last);
        self.framed.push(last);
        std::mem::swap(&mut self.parts, &mut self.framed);
    }

    /// The head is written: everything is to be sent, or, where `cut` says so, only part of the body.
    pub fn seal(&mut self, blocks: &Blocks, cut: Option<usize>) {
        let body = self.body_len(blocks);
        self.left = self.head.len() + cut.map_or(body, |cut| cut.min(body));
    }

    /// Bytes not sent yet.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The next pieces, at most [`SLICES`] and at most `most` bytes; returns how many.
    pub fn slices<'a>(
        &'a self,
        blocks: &'a Blocks,
        most: usize,
        out: &mut [IoSlice<'a>; SLICES],
    ) -> usize {
        let mut room = self.left.min(most);
        let (mut next, mut at, mut n) = (self.next, self.at, 0);
        while n < SLICES && room > 0 {
            let bytes = &self.bytes(next, blocks)[at..];
            let bytes = &bytes[..bytes.len().min(room)];
            if !bytes.is_empty() {
                out[n] = IoSlice::new(bytes);
                n += 1;
            }
            room -= bytes.len();
            (next, at) = (next + 1, 0);
        }
        n
    }

    /// `sent` bytes of the last slices were taken.
    pub fn advance(&mut self, mut sent: usize, blocks: &Blocks) {
        self.left -= sent;
        if self.left == 0 {
            return;
        }
        while sent > 0 {
            let here = self.bytes(self.next, blocks).len() - self.at;
            if sent < here {
                self.at += sent;
                return;
            }
            sent -= here;
            (self.next, self.at) = (self.next + 1, 0);
        }
    }

    /// Piece 0 is the head, the others are the body's.
    fn bytes<'a>(&'a self, piece: usize, blocks: &'a Blocks) -> &'a [u8] {
        let Some(part) = piece.checked_sub(1) else {
            return &self.head;
        };
        match self.parts[part] {
            Part::Own { at, len } => &self.own[at as usize..][..len as usize],
            Part::Plain(index) => blocks.raw(index),
            Part::Packed(index) => blocks.packed(index),
        }
    }

    fn part_len(&self, part: Part, blocks: &Blocks) -> usize {
        match part {
            Part::Own { len, .. } => len as usize,
            Part::Plain(index) => blocks.get(index).len(),
            Part::Packed(index) => blocks.get(index).packed_len(),
        }
    }
}

fn hexadecimal(out: &mut Vec<u8>, n: usize) {
    let digits = (usize::BITS - n.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(n >> (digit * 4)) & 15]);
    }
}

/// Appends a field with a number.
pub fn number_field(head: &mut Vec<u8>, name: &str, value: u64) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    decimal(head, value);
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::words::Words;
    use super::*;

    fn sample() -> (Blocks, Response, Vec<u8>) {
        let blocks = Blocks::new(1, &Words::new(1));
        let mut response = Response::default();
        response.clear();
        let mut plain = Vec::new();
        for i in 0..100u16 {
            let text = format!("run {i} ");
            response.text().extend_from_slice(text.as_bytes());
            plain.extend_from_slice(text.as_bytes());
            response.block(i);
            plain.extend_from_slice(blocks.raw(i));
        }
        response.close_run();
        response.head.extend_from_slice(b"HEAD");
        (blocks, response, plain)
    }

    fn sent(response: &mut Response, blocks: &Blocks, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while response.left() > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let n = response.slices(blocks, step, &mut slices);
            let before = out.len();
            for slice in &slices[..n] {
                out.extend_from_slice(slice);
            }
            // The socket takes one byte less than it was offered, now and then.
            let took = (out.len() - before).max(2) - 1;
            out.truncate(before + took);
            response.advance(took, blocks);
        }
        out
    }

    #[test]
    fn every_byte_is_sent_once_whatever_the_steps() {
        for step in [1, 2, 7, 1_000, 100_000, usize::MAX] {
            let (blocks, mut response, plain) = sample();
            response.seal(&blocks, None);
            let out = sent(&mut response, &blocks, step);
            assert_eq!(&out[..4], b"HEAD");
            assert!(out[4..] == plain, "step {step}");
        }
    }

    #[test]
    fn chunks_hold_the_body() {
        let (blocks, mut response, plain) = sample();
        response.chunk(&blocks);
        response.seal(&blocks, None);
        let out = sent(&mut response, &blocks, usize::MAX);
        let (mut rest, mut body) = (&out[4..], Vec::new());
        loop {
            let httparse::Status::Complete((at, size)) = httparse::parse_chunk_size(rest).unwrap()
            else {
                panic!("a whole chunk line")
            };
            rest = &rest[at..];
            if size == 0 {
                break;
            }
            body.extend_from_slice(&rest[..size as usize]);
            rest = rest[size as usize..].strip_prefix(b"\r\n").unwrap();
        }
        assert_eq!(rest, b"\r\n");
        assert!(body == plain);
    }

    #[test]
    fn a_cut_body_ends_early() {
        let (blocks, mut response, plain) = sample();
        response.seal(&blocks, Some(10));
        assert_eq!(
            sent(&mut response, &blocks, 3),
            [b"HEAD", &plain[..10]].concat()
        );
    }
}
