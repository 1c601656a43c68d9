//! HTTP/1.1 as a client of GET requests (RFC 9110, RFC 9112): a request writer and a response reader.
//!
//! What must hold:
//! * The verdict on a response, its facts and its body depend on the bytes alone, never on how they were split.
//! * The work is linear in the bytes received; nothing is allocated; every length is bounded by a name in
//!   [`crate::limits`].
//! * Head and body end up contiguous in one buffer, the transfer coding removed in place.
//!
//! `httparse` tokenises complete heads; framing and limits are decided here. The rules where RFC 9112 leaves a choice:
//! * a line ends at LF, and a CR right before it belongs to the line end (2.2); any other CR and any NUL is an error;
//! * one empty line may stand before a status line, and nothing else; versions other than 1.0 and 1.1 are errors, and so is `101`;
//! * several spaces between the parts of the status line, obsolete line folding and space before a colon are taken,
//!   but not in Content-Length and Transfer-Encoding; lines that are no fields are skipped as browsers do. The
//!   connection is not used again after any of the last three;
//! * Content-Length may be repeated with one value and must be digits only; Transfer-Encoding wins over it, and the
//!   connection is not used again (6.3);
//! * where `chunked` is not the last transfer coding the body runs to the end of the connection; `identity` is ignored;
//! * bytes after the announced end are not read as anything, and the connection is not used again.
//!
//! Deliberately absent: pipelining, other methods, upgrades, HTTP/0.9, trailer fields as facts, transfer codings other
//! than chunked (never asked for; such a body is stored and marked as not decodable).

#![forbid(unsafe_code)]

mod chunked;
mod date;
mod fields;
mod head;
mod request;
mod response;

pub use request::{NotCanonical, RequestWriter};
pub use response::{Reader, Step, Terms};
