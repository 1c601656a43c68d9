//! Sans-IO: bytes in, facts out. No sockets, no clock, no threads, no unsafe code but the scanner's SIMD.

pub mod address;
pub mod charset;
pub mod css;
pub mod dns;
pub mod html;
pub mod http1;
pub mod list;
pub mod robots;
pub mod scope;
pub mod sniff;
pub mod tunnel;
pub mod url;
pub mod warc;
pub mod xml;
pub mod zframe;
