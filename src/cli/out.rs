//! Standard output that may be a pipe whose reader leaves early (`cyclosa urls DIR | head`).

use crate::error::{Error, Result};
use std::io::{self, BufWriter, Write};

/// Lets `write` fill standard output through a buffer. A reader that went away is no error: writing ends there, and the
/// command goes on as if it had been read.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    print_to(
        &mut BufWriter::with_capacity(64 << 10, io::stdout().lock()),
        write,
    )
}

fn print_to(
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    match write(out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to", "standard output", error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(io::ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
        let result = print_to(&mut Fails(io::ErrorKind::BrokenPipe), |out| {
            writeln!(out, "x")
        });
        assert!(result.is_ok());
        let result = print_to(&mut Fails(io::ErrorKind::StorageFull), |out| {
            writeln!(out, "x")
        });
        assert!(result.unwrap_err().to_string().contains("standard output"));
    }
}
