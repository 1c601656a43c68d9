//! The SOCKS 5 server of curl's tests (RFC 1928, RFC 1929), as far as these go: whatever it is asked for it leads to the
//! dumb server.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

/// Takes the beginning of a connection, which ends in the way being open; says what was asked for as curl's server does.
/// `login` is wanted where there is one. Answers go out byte by byte where `drip`.
pub fn accept(
    stream: &mut TcpStream,
    login: Option<(&str, &str)>,
    drip: bool,
) -> io::Result<String> {
    let [version, methods] = take(stream)?;
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered)?;
    let method = if login.is_some() { 2 } else { 0 };
    if version != 5 || !offered.contains(&method) {
        say(stream, &[5, 0xff], drip)?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    say(stream, &[5, method], drip)?;
    if let Some((name, password)) = login {
        let [version] = take(stream)?;
        let told = (counted(stream)?, counted(stream)?);
        let good = version == 1 && told == (name.into(), password.into());
        say(stream, &[1, u8::from(!good)], drip)?;
        if !good {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    let [5, 1, 0, kind] = take(stream)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let asked = match kind {
        1 => Ipv4Addr::from(take::<4>(stream)?).to_string(),
        3 => String::from_utf8_lossy(&counted(stream)?).into_owned(),
        4 => {
            let octets = Ipv6Addr::from(take::<16>(stream)?).octets();
            octets.map(|b| format!("{b:02x}")).join(" ")
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    take::<2>(stream)?;
    say(stream, &[5, 0, 0, 1, 127, 0, 0, 1, 0, 1], drip)?;
    Ok(format!("atyp {kind} => {asked}"))
}

fn take<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Bytes behind their number.
fn counted(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let [len] = take(stream)?;
    let mut bytes = vec![0; usize::from(len)];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn say(stream: &mut TcpStream, bytes: &[u8], drip: bool) -> io::Result<()> {
    if !drip {
        return stream.write_all(bytes);
    }
    bytes.iter().try_for_each(|byte| {
        std::thread::yield_now();
        stream.write_all(&[*byte])
    })
}
