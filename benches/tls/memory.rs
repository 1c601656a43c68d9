//! Decryption in memory: rustls' buffered interface, as the lane uses it, beside the unbuffered one.
//!
//! The server's records for a body of [`BODY_BYTES`] are made first; timed is what the client does to have the plaintext
//! in a buffer of the page, from a buffer that a socket was read into.

use crate::certificates::Authority;
use cyclosa::time::Clock;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::sync::Arc;

const BODY_BYTES: usize = 60 << 10;
const BODIES: usize = 2_000;
const ROUNDS: usize = 7;
/// As [`cyclosa::limits::TLS_READ_BYTES`].
const PIECE: usize = cyclosa::limits::TLS_READ_BYTES;

struct Ends {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Ends {
    fn new() -> Self {
        let root = Authority::root("root");
        let leaf = root.leaf(&["a.test"]);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(root.certificate.der().clone()).expect("a root");
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(leaf.key.serialize_der().into());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.certificate.der().clone()], key)
            .expect("a certificate");
        Self {
            client: Arc::new(client),
            server: Arc::new(server),
        }
    }

    fn server(&self) -> ServerConnection {
        let mut server = ServerConnection::new(self.server.clone()).expect("a server");
        server.set_buffer_limit(None);
        server
    }

    fn name(&self) -> ServerName<'static> {
        ServerName::try_from("a.test").expect("a name")
    }
}

/// Records of a body.
fn records(server: &mut ServerConnection) -> Vec<u8> {
    server
        .writer()
        .write_all(&[b'x'; BODY_BYTES])
        .expect("room");
    said(server)
}

fn said(server: &mut ServerConnection) -> Vec<u8> {
    let mut out = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut out).expect("a vector takes all");
    }
    out
}

fn heard(server: &mut ServerConnection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).expect("room");
        server.process_new_packets().expect("a sound client");
    }
}

/// Prints MB/s of both, medians.
pub fn compare() {
    let ends = Ends::new();
    let (mut buffered, mut unbuffered) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        buffered.push(run_buffered(&ends));
        unbuffered.push(run_unbuffered(&ends));
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    let (buffered, unbuffered) = (median(&mut buffered), median(&mut unbuffered));
    let rate = |us: f64| BODY_BYTES as f64 / us;
    println!(
        "in memory, {BODY_BYTES} bytes: buffered {buffered:.1} us ({:.0} MB/s), unbuffered {unbuffered:.1} us ({:.0} MB/s)",
        rate(buffered),
        rate(unbuffered)
    );
}

fn run_buffered(ends: &Ends) -> f64 {
    let mut server = ends.server();
    let mut client = ClientConnection::new(ends.client.clone(), ends.name()).expect("a client");
    while client.is_handshaking() || client.wants_write() {
        let mut out = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut out).expect("a vector takes all");
        }
        heard(&mut server, &out);
        let answer = said(&mut server);
        let mut rest = &answer[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("room");
            client.process_new_packets().expect("a sound server");
        }
    }
    let mut body = vec![0; BODY_BYTES + 1];
    let (clock, mut spent) = (Clock::starting_at(0), 0);
    for _ in 0..BODIES {
        let records = records(&mut server);
        let began = clock.now();
        let mut filled = 0;
        for mut piece in records.chunks(PIECE) {
            while !piece.is_empty() {
                client.read_tls(&mut piece).expect("room");
                client.process_new_packets().expect("a sound server");
                while let Ok(n @ 1..) = client.reader().read(&mut body[filled..]) {
                    filled += n;
                }
            }
        }
        spent += clock.now() - began;
        assert_eq!(filled, BODY_BYTES);
    }
    spent as f64 / 1e3 / BODIES as f64
}

/// What an unbuffered client makes of `incoming`: plaintext into `body`, answers into `out`. Returns how much is used up.
fn drive(
    client: &mut UnbufferedClientConnection,
    incoming: &mut [u8],
    body: &mut [u8],
    filled: &mut usize,
    out: &mut Vec<u8>,
) -> usize {
    let mut used = 0;
    loop {
        let UnbufferedStatus { mut discard, state } =
            client.process_tls_records(&mut incoming[used..]);
        let mut stop = false;
        match state.expect("a sound server") {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.expect("a sound record");
                    discard += record.discard;
                    body[*filled..*filled + record.payload.len()].copy_from_slice(record.payload);
                    *filled += record.payload.len();
                }
            }
            ConnectionState::EncodeTlsData(mut data) => {
                let mut room = [0; 8_192];
                let n = data.encode(&mut room).expect("room");
                out.extend_from_slice(&room[..n]);
            }
            ConnectionState::TransmitTlsData(data) => data.done(),
            _ => stop = true,
        }
        used += discard;
        if stop {
            return used;
        }
    }
}

fn run_unbuffered(ends: &Ends) -> f64 {
    let mut server = ends.server();
    let made = UnbufferedClientConnection::new(ends.client.clone(), ends.name());
    let mut client = made.expect("a client");
    let mut body = vec![0; BODY_BYTES + 1];
    let (mut filled, mut incoming) = (0, Vec::new());
    loop {
        let mut out = Vec::new();
        let used = drive(&mut client, &mut incoming, &mut body, &mut filled, &mut out);
        incoming.drain(..used);
        heard(&mut server, &out);
        let answer = said(&mut server);
        if out.is_empty() && answer.is_empty() {
            break;
        }
        incoming.extend_from_slice(&answer);
    }
    let mut scratch = vec![0; PIECE + (20 << 10)];
    let (clock, mut spent) = (Clock::starting_at(0), 0);
    for _ in 0..BODIES {
        let records = records(&mut server);
        let began = clock.now();
        (filled, _) = (0, ());
        let mut kept = 0;
        for piece in records.chunks(PIECE) {
            // As a socket would write behind what is left of a record.
            scratch[kept..kept + piece.len()].copy_from_slice(piece);
            let len = kept + piece.len();
            let mut out = Vec::new();
            let used = drive(
                &mut client,
                &mut scratch[..len],
                &mut body,
                &mut filled,
                &mut out,
            );
            scratch.copy_within(used..len, 0);
            kept = len - used;
        }
        spent += clock.now() - began;
        assert_eq!(filled, BODY_BYTES);
    }
    spent as f64 / 1e3 / BODIES as f64
}
