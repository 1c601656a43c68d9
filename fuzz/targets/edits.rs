//! Damage to a directory of files, as a program: eight bytes an edit.
//!
//! ```text
//! file u8 | operation u8 | place u16 | value u32, little-endian
//! ```
//!
//! Files are taken by number in the order of their names. The lower half of `operation` counts places from the start of the file (headers, first
//! records), the upper half in 65,536ths of its length.

use super::small_crawl::Files;

/// Edits taken from one input.
const EDITS_MAX: usize = 16;
/// Bytes of an edit.
const EDIT: usize = 8;
/// What a file may grow to.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Carries out the edits in `program` on the files whose names `wanted` takes.
pub fn apply(files: &mut Files, program: &[u8], wanted: fn(&str) -> bool) {
    for edit in program.as_chunks::<EDIT>().0.iter().take(EDITS_MAX) {
        let names: Vec<String> = files.keys().filter(|n| wanted(n)).cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = &names[usize::from(edit[0]) % names.len()];
        let value = u32::from_le_bytes([edit[4], edit[5], edit[6], edit[7]]);
        let place = usize::from(u16::from_le_bytes([edit[2], edit[3]]));
        let len = files[name].len();
        let place = if edit[1] < 128 {
            place
        } else {
            len * place / 65_536
        };
        match edit[1] % 12 {
            0 => {
                files.remove(name);
            }
            1 => {
                let other = &names[value as usize % names.len()];
                let (a, b) = (files[name].clone(), files[other].clone());
                files.insert(name.clone(), b);
                files.insert(other.clone(), a);
            }
            operation => {
                let file = files.get_mut(name).expect("listed");
                edit_file(file, operation, place.min(len), value);
            }
        }
    }
}

fn edit_file(file: &mut Vec<u8>, operation: u8, at: usize, value: u32) {
    let wide = i64::from(value.cast_signed()).cast_unsigned();
    let mut old = [0; 8];
    let there = file.get(at..).unwrap_or_default();
    let n = there.len().min(8);
    old[..n].copy_from_slice(&there[..n]);
    let old = u64::from_le_bytes(old);
    match operation {
        2 => put(file, at, &[old as u8 ^ (value as u8).max(1)]),
        3 => put(file, at, &value.to_le_bytes()[..2]),
        4 => put(file, at, &value.to_le_bytes()),
        5 => put(file, at, &wide.to_le_bytes()),
        6 => put(file, at, &old.wrapping_add(wide).to_le_bytes()),
        7 => put(file, at, &old.wrapping_add(wide).to_le_bytes()[..4]),
        8 => file.truncate(at),
        9 => {
            let more = (value >> 8) as usize % 8_192;
            let most = FILE_BYTES_MAX.max(file.len());
            file.resize((file.len() + more).min(most), value as u8);
        }
        10 => {
            let zeros = vec![0; value as usize % 4_096 + 1];
            put(file, at, &zeros);
        }
        _ => {
            let from = (value >> 12) as usize % (file.len() + 1);
            let bytes = file[from..].iter().take(value as usize % 4_096 + 1);
            let bytes: Vec<u8> = bytes.copied().collect();
            put(file, at, &bytes);
        }
    }
}

/// Writes `bytes` at `at` as far as the file goes.
fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    let room = file.get_mut(at..).unwrap_or_default();
    let n = bytes.len().min(room.len());
    room[..n].copy_from_slice(&bytes[..n]);
}
