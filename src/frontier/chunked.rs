//! A growing array that never moves: growth costs one allocation of a chunk, however long the array is.
//!
//! What must hold: no push copies what is there (a `Vec` of a million hosts doubles in milliseconds, and a turn of the
//! pipeline has one). Deliberately absent: slices over the whole, and removal other than at the end.

use std::ops::{Index, IndexMut};

/// Elements of a chunk.
const CHUNK: usize = 4_096;

/// An array of chunks.
#[derive(Debug)]
pub struct Chunked<T> {
    /// All but the last are full.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Chunked<T> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self.chunks.last() {
            None => 0,
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>()
    }

    /// Appends an element.
    #[inline]
    pub fn push(&mut self, element: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(element),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(element);
                self.chunks.push(chunk);
            }
        }
    }

    /// Takes the last element. A chunk that becomes empty is kept where it is the first.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.chunks.last_mut()?;
        let element = last.pop();
        if last.is_empty() {
            self.chunks.pop();
        }
        element
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// All elements in order, for writing.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }
}

impl<T> Index<usize> for Chunked<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.chunks[at / CHUNK][at % CHUNK]
    }
}

impl<T> IndexMut<usize> for Chunked<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.chunks[at / CHUNK][at % CHUNK]
    }
}

impl<T> FromIterator<T> for Chunked<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut all = Self::default();
        elements.into_iter().for_each(|element| all.push(element));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_vec_across_chunks() {
        let mut chunked: Chunked<usize> = (0..CHUNK * 2 + 5).collect();
        let mut twin: Vec<usize> = (0..CHUNK * 2 + 5).collect();
        for n in 0..CHUNK + 10 {
            assert_eq!(chunked.pop(), twin.pop());
            if n % 3 == 0 {
                chunked.push(n);
                twin.push(n);
            }
            assert_eq!(chunked.len(), twin.len());
        }
        chunked[CHUNK] = 7;
        twin[CHUNK] = 7;
        assert!(chunked.iter().eq(&twin));
        while let Some(n) = twin.pop() {
            assert_eq!(chunked.pop(), Some(n));
        }
        assert!(chunked.is_empty() && chunked.pop().is_none());
    }
}
