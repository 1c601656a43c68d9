//! zstd frames as WARC files need them (WARC-zstd 1.0, RFC 8878 3.1.1).
//!
//! What must hold: every frame written carries Frame_Content_Size and Content_Checksum, and no decoder needs a window
//! above 8 MiB for it. Content that does not compress is framed in raw blocks, which costs a copy and a checksum.
//! Deliberately absent: dictionaries and skippable frames.

use crate::limits::RECORD_WINDOW_LOG_MAX;
use std::io;
use xxhash_rust::xxh64::xxh64;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

/// Magic number of a frame, little-endian.
pub const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Longest block (RFC 8878 3.1.1.2.3).
const BLOCK_BYTES: usize = 128 << 10;
/// Frame header of a raw frame: magic, descriptor, window, four bytes of content size.
const RAW_HEADER: usize = 10;
/// Window_Descriptor of 128 KiB: raw blocks refer to nothing, so the smallest that fits a block does.
const RAW_WINDOW: u8 = (17 - 10) << 3;
/// Frame_Header_Descriptor: content size in four bytes (2 << 6), checksum (1 << 2).
const RAW_DESCRIPTOR: u8 = (2 << 6) | (1 << 2);
/// Longest content of a raw frame, bytes.
pub const RAW_CONTENT_MAX: usize = u32::MAX as usize;

/// How hard a record is compressed. The numbers are zstd levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(i8)]
pub enum Level {
    /// When the machine is idle.
    Deep = 3,
    /// The best work per byte saved.
    #[default]
    Normal = 1,
    /// When the rings fill.
    Fast = -3,
}

/// Appends a frame of raw blocks to `out` that holds `content` (at most [`RAW_CONTENT_MAX`] bytes).
pub fn raw(content: &[u8], out: &mut Vec<u8>) {
    debug_assert!(content.len() <= RAW_CONTENT_MAX);
    let blocks = content.len().div_ceil(BLOCK_BYTES).max(1);
    out.reserve(RAW_HEADER + content.len() + 3 * blocks + 4);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[RAW_DESCRIPTOR, RAW_WINDOW]);
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    for i in 0..blocks {
        let block = &content[i * BLOCK_BYTES..content.len().min((i + 1) * BLOCK_BYTES)];
        let last = u32::from(i + 1 == blocks);
        // Block_Header: last, type 0 (raw), size.
        let header = last | (block.len() as u32) << 3;
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&(xxh64(content, 0) as u32).to_le_bytes());
}

/// A compressor whose context and scratch are reused.
pub struct Framer {
    context: Compressor<'static>,
    level: Level,
    scratch: Vec<u8>,
}

impl Framer {
    /// A framer; fails only where memory is short.
    pub fn new() -> io::Result<Self> {
        let mut context = Compressor::new(Level::Normal as i32)?;
        context.set_parameter(CParameter::ChecksumFlag(true))?;
        context.set_parameter(CParameter::ContentSizeFlag(true))?;
        Ok(Self {
            context,
            level: Level::Normal,
            scratch: Vec::new(),
        })
    }

    /// Replaces `out` by one compressed frame that holds `content`. Content that zstd would not take is framed raw.
    pub fn frame(&mut self, content: &[u8], level: Level, out: &mut Vec<u8>) {
        out.clear();
        if self.compress(content, level).is_ok() {
            out.extend_from_slice(&self.scratch);
        } else {
            raw(content, out);
        }
        if self.scratch.capacity() > crate::limits::RECORD_SCRATCH_BYTES_MAX {
            self.scratch = Vec::new();
        }
    }

    fn compress(&mut self, content: &[u8], level: Level) -> io::Result<()> {
        if level != self.level {
            self.context.set_compression_level(level as i32)?;
            self.level = level;
        }
        self.scratch.clear();
        self.scratch.reserve(compress_bound(content.len()));
        self.context
            .compress_to_buffer(content, &mut self.scratch)?;
        Ok(())
    }
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Frame_Content_Size, bytes.
    pub content: Option<u64>,
    /// Content_Checksum follows the last block.
    pub checksum: bool,
    /// Window_Size, bytes.
    pub window: u64,
}

impl Header {
    /// Reads the header of the frame that `bytes` begin with. `None`: no zstd frame.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let descriptor = *rest.first()?;
        let single = descriptor & 0x20 != 0;
        let mut at = 1;
        let mut window = 0;
        if !single {
            let b = *rest.get(at)?;
            let base = 1u64 << (10 + (b >> 3));
            window = base + (base >> 3) * u64::from(b & 7);
            at += 1;
        }
        at += [0, 1, 2, 4][usize::from(descriptor & 3)];
        let flag = descriptor >> 6;
        let len = match flag {
            0 => usize::from(single),
            n => 1 << n,
        };
        let field = rest.get(at..at + len)?;
        let mut wide = [0; 8];
        wide[..len].copy_from_slice(field);
        let size = u64::from_le_bytes(wide) + if flag == 1 { 256 } else { 0 };
        let content = (len > 0).then_some(size);
        if single {
            window = size;
        }
        Some(Self {
            content,
            checksum: descriptor & 4 != 0,
            window,
        })
    }

    /// What of WARC-zstd 1.0 the frame lacks.
    pub fn defect(&self) -> Option<&'static str> {
        if self.content.is_none() {
            Some("the frame has no content size")
        } else if !self.checksum {
            Some("the frame has no checksum")
        } else if self.window > 1 << RECORD_WINDOW_LOG_MAX {
            Some("the frame needs a window above 8 MiB")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(frame: &[u8], len: usize) -> Vec<u8> {
        zstd::bulk::decompress(frame, len).expect("a valid frame")
    }

    #[test]
    fn raw_frames_of_any_length_are_read_back() {
        for n in [
            0,
            1,
            255,
            256,
            BLOCK_BYTES - 1,
            BLOCK_BYTES,
            BLOCK_BYTES + 1,
            9 << 20,
        ] {
            let content: Vec<u8> = (0..n).map(|i| ((i * 31) >> 3) as u8).collect();
            let mut frame = b"before".to_vec();
            raw(&content, &mut frame);
            let frame = &frame[6..];
            assert!(back(frame, n) == content, "{n}");
            let header = Header::read(frame).expect("header");
            assert_eq!(header.content, Some(n as u64));
            assert_eq!(header.defect(), None);
        }
    }

    #[test]
    fn a_flipped_byte_of_a_raw_frame_is_noticed() {
        let mut frame = Vec::new();
        raw(b"content that does not compress", &mut frame);
        for at in RAW_HEADER + 3..frame.len() {
            let mut bad = frame.clone();
            bad[at] ^= 1;
            assert!(zstd::bulk::decompress(&bad, 100).is_err(), "{at}");
        }
    }

    #[test]
    fn compressed_frames_keep_to_the_rules_at_every_level() {
        let mut framer = Framer::new().expect("memory");
        let content: Vec<u8> = (0..20 << 20).map(|i: u32| (i >> 7) as u8).collect();
        let mut frame = Vec::new();
        for level in [Level::Deep, Level::Normal, Level::Fast] {
            for n in [0, 10, 30_000, 300_000, content.len()] {
                framer.frame(&content[..n], level, &mut frame);
                let header = Header::read(&frame).expect("header");
                assert_eq!(header.content, Some(n as u64));
                assert_eq!(header.defect(), None, "{level:?} {n}");
                assert!(back(&frame, n) == content[..n]);
            }
        }
    }

    #[test]
    fn headers_are_read_as_the_library_reads_them() {
        let mut random = 1u64;
        for _ in 0..20_000 {
            let mut bytes = MAGIC.to_vec();
            for _ in 0..2 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                bytes.extend_from_slice(&(random ^ random >> 29).to_le_bytes());
            }
            bytes[4] &= !8; // the reserved bit
            let theirs = zstd::zstd_safe::get_frame_content_size(&bytes)
                .ok()
                .flatten();
            if theirs.is_some() {
                assert_eq!(
                    Header::read(&bytes).and_then(|h| h.content),
                    theirs,
                    "{bytes:x?}"
                );
            }
        }
        assert_eq!(Header::read(&MAGIC), None);
        assert_eq!(Header::read(b"WARC/1.1"), None);
    }
}
