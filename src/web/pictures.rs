//! Tiny pictures: real PNG and SVG files, made once.
//!
//! What must hold: every picture decodes. Deliberately absent: anything worth looking at.

use super::gzip::crc;
use super::path::IMAGES;
use flate2::{Compression, write::ZlibEncoder};
use std::io::Write;

/// Side of a picture, pixels.
const SIDE: u32 = 8;

/// All pictures of a web, by number.
#[derive(Debug)]
pub struct Pictures(Vec<Vec<u8>>);

impl Pictures {
    /// Makes them.
    pub fn new() -> Self {
        let draw = |n: u32| if n.is_multiple_of(2) { png(n) } else { svg(n) };
        Self((0..IMAGES).map(draw).collect())
    }

    /// Media type and bytes of picture `n`, below [`IMAGES`].
    pub fn get(&self, n: u32) -> (&'static str, &[u8]) {
        let kind = if n.is_multiple_of(2) {
            "image/png"
        } else {
            "image/svg+xml"
        };
        (kind, &self.0[n as usize])
    }
}

fn svg(n: u32) -> Vec<u8> {
    let colour = n * 0x03_0507 % 0x100_0000;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\"><rect width=\"8\" height=\"8\" fill=\"#{colour:06x}\"/>\
         <circle cx=\"4\" cy=\"4\" r=\"{}\" fill=\"#fff\"/></svg>\n",
        1 + n % 3
    )
    .into_bytes()
}

/// An 8-bit grey PNG with a pattern (PNG specification 5 and 11.2).
fn png(n: u32) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..SIDE {
        rows.push(0); // no filter
        rows.extend((0..SIDE).map(|x| (x * 31 + y * 17 + n * 5) as u8));
    }
    let mut header = Vec::new();
    header.extend_from_slice(&SIDE.to_be_bytes());
    header.extend_from_slice(&SIDE.to_be_bytes());
    header.extend_from_slice(&[8, 0, 0, 0, 0]); // depth, grey, deflate, no filter method, not interlaced
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    // Writing to memory does not fail.
    let data = encoder
        .write_all(&rows)
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, body) in [(b"IHDR", &header), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        file.extend_from_slice(&(body.len() as u32).to_be_bytes());
        let start = file.len();
        file.extend_from_slice(kind);
        file.extend_from_slice(body);
        let sum = crc(&file[start..]);
        file.extend_from_slice(&sum.to_be_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_png_holds_its_rows() {
        let pictures = Pictures::new();
        let (kind, file) = pictures.get(6);
        assert_eq!(kind, "image/png");
        let at = file.windows(4).position(|w| w == b"IDAT").unwrap();
        let len = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&file[at + 4..at + 4 + len])
            .read_to_end(&mut rows)
            .unwrap();
        assert_eq!(rows.len(), (SIDE * (SIDE + 1)) as usize);
        assert!(file.ends_with(b"IEND\xae\x42\x60\x82"));
    }
}
