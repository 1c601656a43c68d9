//! Brotli with memory that is kept between bodies.
//!
//! What must hold: windows above 16 MiB (the "large window" extension, which is not part of RFC 7932) are refused before
//! anything is allocated for them; a decoder at rest keeps at most [`POOL_BYTES_MAX`] bytes of each kind.
//! Deliberately absent: shared dictionaries.

use brotli_decompressor::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, HuffmanCode, SliceWrapper,
    SliceWrapperMut,
};
use std::mem::take;

use super::Why;
use super::room::Out;

/// Bytes of one kind of cell that are kept for the next body.
const POOL_BYTES_MAX: usize = 4 << 20;
/// Cells of one kind that are kept for the next body; a decoder asks for about ten.
const POOL_CELLS_MAX: usize = 16;

/// Memory that the decoder was given.
#[derive(Default)]
struct Cell<T>(Vec<T>);

impl<T> SliceWrapper<T> for Cell<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cell<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// Cells at rest.
#[derive(Default)]
struct Pool<T> {
    free: Vec<Vec<T>>,
    bytes: usize,
}

impl<T: Clone + Default> Allocator<T> for Pool<T> {
    type AllocatedMemory = Cell<T>;

    fn alloc_cell(&mut self, len: usize) -> Cell<T> {
        if len == 0 {
            return Cell(Vec::new());
        }
        let fit = (0..self.free.len())
            .filter(|&i| self.free[i].capacity() >= len)
            .min_by_key(|&i| self.free[i].capacity());
        let mut cell = match fit {
            Some(i) => {
                let cell = self.free.swap_remove(i);
                self.bytes -= cell.capacity() * size_of::<T>();
                cell
            }
            None => Vec::with_capacity(len),
        };
        cell.clear();
        cell.resize(len, T::default());
        Cell(cell)
    }

    fn free_cell(&mut self, cell: Cell<T>) {
        let bytes = cell.0.capacity() * size_of::<T>();
        if bytes > 0 && self.free.len() < POOL_CELLS_MAX && self.bytes + bytes <= POOL_BYTES_MAX {
            self.bytes += bytes;
            self.free.push(cell.0);
        }
    }
}

/// A Brotli decoder that keeps its memory.
#[derive(Default)]
pub(super) struct Brotli {
    bytes: Pool<u8>,
    words: Pool<u32>,
    codes: Pool<HuffmanCode>,
}

impl Brotli {
    /// Decodes `input` (RFC 7932) into `out`; bytes after the stream's end are ignored.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut Out<'_>) -> (usize, Option<Why>) {
        let mut state = BrotliState::new_strict(
            take(&mut self.bytes),
            take(&mut self.words),
            take(&mut self.codes),
        );
        let mut left = input.len();
        let (mut read, mut wrote, mut total) = (0, 0, 0);
        let why = loop {
            let slice = out.slice();
            let mut room = slice.len() - wrote;
            let result = BrotliDecompressStream(
                &mut left, &mut read, input, &mut room, &mut wrote, slice, &mut total, &mut state,
            );
            match result {
                BrotliResult::ResultSuccess => break None,
                BrotliResult::NeedsMoreInput => break Some(Why::Ended),
                BrotliResult::NeedsMoreOutput if out.grow() => {}
                BrotliResult::NeedsMoreOutput => break None,
                BrotliResult::ResultFailure => break Some(Why::Corrupt),
            }
        };
        // The state frees into its own pools when it is dropped, and they with it: take both back before.
        state.BrotliStateCleanupAfterMetablock();
        state.alloc_u8.free_cell(take(&mut state.ringbuffer));
        state.alloc_hc.free_cell(take(&mut state.context_map_table));
        let trees = &mut state.block_type_length_state;
        let (types, lengths) = (
            take(&mut trees.block_type_trees),
            take(&mut trees.block_len_trees),
        );
        state.alloc_hc.free_cell(types);
        state.alloc_hc.free_cell(lengths);
        self.bytes = take(&mut state.alloc_u8);
        self.words = take(&mut state.alloc_u32);
        self.codes = take(&mut state.alloc_hc);
        (wrote, why)
    }
}
