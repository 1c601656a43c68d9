//! Fatal errors: what stops the program, in one line that says what to do.
//!
//! Failures of single URLs are not errors but outcomes ([`crate::event::Outcome`]); they never appear here.

use std::fmt;
use std::path::Path;

/// Numbers of system errors that `std` has no kind for.
const EIO: i32 = 5;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Who has to act on a fatal error. Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The command line, the seed file or the configuration is wrong (exit code 2).
    Usage,
    /// The disk, the system or the data in the crawl directory is (exit code 1).
    Environment,
}

/// A fatal error: what happened, to which file, URL or flag, and what to do about it, in one line.
#[derive(Debug)]
pub struct Error {
    fault: Fault,
    message: String,
    source: Option<std::io::Error>,
}

/// Result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The user has to change what was typed or given.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Usage,
            message: message.into(),
            source: None,
        }
    }

    /// The environment or the stored data is at fault.
    pub fn environment(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Environment,
            message: message.into(),
            source: None,
        }
    }

    /// An I/O error on `path` while doing `what` ("cannot create the segment").
    pub fn io(what: &str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let hint = match source.kind() {
            std::io::ErrorKind::StorageFull => "; free some space and run the same command again",
            std::io::ErrorKind::PermissionDenied => {
                "; check the permissions of the directory and run the same command again"
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                "; the file system is read-only: mount it writable, or name another directory"
            }
            std::io::ErrorKind::FileTooLarge => {
                "; raise the limit on file sizes (ulimit -f) and run the same command again"
            }
            std::io::ErrorKind::QuotaExceeded => {
                "; your quota is used up: free some space and run the same command again"
            }
            _ => match source.raw_os_error() {
                Some(EIO) => "; check the disk and run the same command again",
                Some(ENFILE | EMFILE) => {
                    "; raise the limit on open files (ulimit -n) and run the same command again"
                }
                _ => "",
            },
        };
        Self {
            fault: Fault::Environment,
            message: format!("{what} {}: {source}{hint}", path.as_ref().display()),
            source: Some(source),
        }
    }

    /// Who has to act.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Process exit code of the command-line contract: 2 for usage, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self.fault {
            Fault::Usage => 2,
            Fault::Environment => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, and no control character of a hostile name reaches the terminal.
        for c in self.message.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let shown = Error::usage("seed \u{1b}[2J\nfile").to_string();
        assert!(!shown.contains('\u{1b}') && !shown.contains('\n'));
    }

    #[test]
    fn exit_codes_follow_the_contract() {
        assert_eq!(Error::usage("x").exit_code(), 2);
        assert_eq!(Error::environment("x").exit_code(), 1);
    }
}
