//! A server on loopback that does what a test tells it, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs `talk` for every connection, with its number, on a thread of its own, until the test's process ends.
pub fn serve(talk: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("its address");
    let talk = Arc::new(talk);
    thread::spawn(move || {
        for (n, stream) in listener.incoming().flatten().enumerate() {
            let talk = talk.clone();
            // A thread's worth of stack for 500 connections at once.
            let built = thread::Builder::new().stack_size(128 << 10);
            let _ = built.spawn(move || talk(stream, n));
        }
    });
    address
}

/// Sends `answer` to every request, on connections that stay open as long as the client wants.
pub fn serve_same(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serve(move |mut stream, _| {
        while request(&mut stream).is_some() {
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

/// Sends `answer` to the first request and ends the connection.
pub fn serve_and_close(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serve(move |mut stream, _| {
        if request(&mut stream).is_some() {
            let _ = stream.write_all(&answer);
        }
    })
}

/// The next request head; `None` where the client has closed.
pub fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Sends `bytes` in pieces of `size` with a pause after each.
pub fn drip(stream: &mut TcpStream, bytes: &[u8], size: usize, pause: Duration) {
    let _ = stream.set_nodelay(true);
    for piece in bytes.chunks(size) {
        if stream.write_all(piece).is_err() {
            return;
        }
        thread::sleep(pause);
    }
}

/// Waits until the client closes.
pub fn hold(mut stream: TcpStream) {
    let mut rest = [0; 256];
    while stream.read(&mut rest).is_ok_and(|n| n > 0) {}
}

/// A complete response with a length.
pub fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: text/html\r\n\r\n{body}",
        body.len()
    )
}
