//! Where decoders write: a buffer that is kept between bodies and has a limit.
//!
//! What must hold: the limit is one byte beyond what a body may become, so that "exactly the limit" and "more" differ; a
//! large buffer is never moved as it grows, which would hold it twice. Deliberately absent: giving memory back, which is
//! the decoder's business between bodies.

/// Buffers beyond this are reserved whole, bytes. What is reserved and not written is not resident.
const RESERVED_WHOLE_BYTES: usize = 1 << 20;

/// Gives `buf` room for `room` bytes, and where that is much for all `most` that it may ever need.
fn reserve(buf: &mut Vec<u8>, room: usize, most: usize) {
    if room > buf.capacity() {
        let reserved = match room > RESERVED_WHOLE_BYTES {
            true => most.max(room),
            false => room.max(2 * buf.capacity()).min(RESERVED_WHOLE_BYTES),
        };
        buf.reserve_exact(reserved - buf.len());
    }
}

/// A scratch buffer in use for one body.
///
/// The room in it does not depend on what the buffer held before: how much a streaming decoder hands out of a damaged
/// body depends on its room, and the same body must always give the same.
pub(super) struct Out<'b> {
    buf: &'b mut Vec<u8>,
    room: usize,
    /// Bytes that this body may become, and one.
    pub(super) most: usize,
    /// The same for any body.
    ever: usize,
}

impl<'b> Out<'b> {
    /// For a body of at most `cap` bytes; none is ever larger than `ever`.
    pub(super) fn new(buf: &'b mut Vec<u8>, cap: usize, ever: usize) -> Self {
        Self {
            buf,
            room: 0,
            most: cap + 1,
            ever: cap.max(ever) + 1,
        }
    }

    /// The initialised room, from the start of the buffer.
    pub(super) fn slice(&mut self) -> &mut [u8] {
        &mut self.buf[..self.room]
    }

    /// All there is at hand, for whoever takes all or nothing.
    pub(super) fn whole_slice(&mut self) -> &mut [u8] {
        self.room = self.buf.len().min(self.most);
        self.slice()
    }

    /// No room, as at first.
    pub(super) fn start_again(&mut self) {
        self.room = 0;
    }

    /// Room for `n` bytes, as far as the limit allows.
    pub(super) fn want(&mut self, n: usize) {
        self.room = n.max(4 << 10).min(self.most).max(self.room);
        if self.buf.len() < self.room {
            reserve(self.buf, self.room, self.ever);
            self.buf.resize(self.room, 0);
        }
    }

    /// Doubles the room; `false` at the limit.
    pub(super) fn grow(&mut self) -> bool {
        if self.room >= self.most {
            return false;
        }
        self.want((self.room * 2).max(16 << 10));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_is_never_moved() {
        let mut buf = Vec::new();
        let mut out = Out::new(&mut buf, 8 << 20, 9 << 20);
        out.want(RESERVED_WHOLE_BYTES + 1);
        let first = out.slice().as_ptr();
        while out.grow() {}
        assert_eq!(out.slice().len(), (8 << 20) + 1);
        assert_eq!(out.slice().as_ptr(), first);
        assert_eq!(buf.capacity(), (9 << 20) + 1);
    }

    #[test]
    fn small_buffers_double_and_reserve_no_more() {
        let mut buf = Vec::new();
        reserve(&mut buf, 10_000, 64 << 20);
        assert_eq!(buf.capacity(), 10_000);
        reserve(&mut buf, 10_001, 64 << 20);
        assert_eq!(buf.capacity(), 20_000);
        reserve(&mut buf, 1, 64 << 20);
        assert_eq!(buf.capacity(), 20_000);
    }
}
