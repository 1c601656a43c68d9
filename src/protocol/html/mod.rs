//! References in HTML, found without a tree.
//!
//! ```text
//! bytes ─► find (SIMD) ─► tokens (tags, raw text, comments) ─► links (which attributes are references) ─► Found
//! ```
//!
//! What must hold, for any bytes: no panic, linear time, no allocation once the buffers of [`Found`] have grown, and the
//! same result whatever instructions the processor has. References come out in document order with entities decoded.
//!
//! The tokens are those of the HTML Standard (scripting off, so `noscript` holds markup). Deliberately absent is the tree
//! builder, and so these differ from a browser's document:
//! * links inside `template` are found;
//! * elements that the tree builder drops where they stand (`frame` outside of `frameset`, markup in `select` or
//!   `frameset`) are found, and what it makes twice (misnested `a`) is found once;
//! * foreign content is followed by its tags only (see `foreign.rs`).

#[cfg(target_arch = "x86_64")]
mod avx2;
mod entities;
mod entity;
mod find;
mod foreign;
mod found;
mod links;
mod names;
mod refresh;
mod srcset;
mod tokens;

#[cfg(test)]
mod suites;
#[cfg(test)]
mod tests;

pub(super) use found::Unescape;
pub use found::{Found, Place, Ref, RefKind};

/// Which references a scan takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Pages, frames, `link`s and refreshes.
    pub pages: bool,
    /// Images too.
    pub images: bool,
    /// Everything that belongs to a page: images, stylesheets and what they name, scripts, media, fonts.
    pub all: bool,
}

impl Wanted {
    /// Pages only.
    pub const PAGES: Wanted = Wanted {
        pages: true,
        images: false,
        all: false,
    };
    /// Pages and images.
    pub const IMAGES: Wanted = Wanted {
        pages: true,
        images: true,
        all: false,
    };
    /// Pages and all they need.
    pub const ALL: Wanted = Wanted {
        pages: true,
        images: true,
        all: true,
    };
}

/// Appends the references of the document `input` to `found`, which the caller clears between documents.
///
/// `input` is UTF-8; bytes that are not are passed on as they are. What lies beyond 4 GiB is not looked at.
pub fn scan(input: &[u8], wanted: Wanted, found: &mut Found) {
    let input = &input[..input.len().min(u32::MAX as usize)];
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = avx2::Avx2::detect() {
        return avx2.scan(input, wanted, found);
    }
    scan_portable(input, wanted, found);
}

/// The scan for any processor.
fn scan_portable(input: &[u8], wanted: Wanted, found: &mut Found) {
    tokens::run(
        find::Portable,
        input,
        &mut links::Links::new(input, wanted, found),
    );
}
