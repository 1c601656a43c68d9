//! Files of secrets that others can read: a warning, as whoever set the modes may know why.
//!
//! Deliberately absent: owners, access lists and the modes of the directories above, and platforms without modes, where
//! nothing is said.

use std::fs::Metadata;
use std::path::Path;

/// What to tell a user whose `path`, given as `flag`, can be read by its group or by everybody: one line, with what to
/// do. `None` where it is for its owner only, where it is no regular file (a pipe of the shell), or cannot be looked at.
pub fn exposure(flag: &str, path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    let mode = readable_by_others(&metadata)?;
    let shown = path.display();
    Some(format!(
        "warning: {flag} {shown} can be read by other users (mode {mode:03o}); run: chmod 600 {shown}"
    ))
}

/// The permission bits, where group or others may read.
#[cfg(unix)]
fn readable_by_others(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    const GROUP_OR_OTHERS_READ: u32 = 0o044;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & GROUP_OR_OTHERS_READ != 0).then_some(mode)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Metadata) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn who_else_can_read_is_told_and_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("auth.txt");
        write(&path, "x").unwrap();
        let told = |mode| {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            exposure("--auth", &path)
        };
        for mode in [0o600, 0o400, 0o700, 0o622, 0o711] {
            assert_eq!(told(mode), None, "{mode:o}");
        }
        for mode in [0o640, 0o604, 0o644, 0o777] {
            let line = told(mode).unwrap_or_else(|| panic!("{mode:o}"));
            let shown = path.display();
            assert_eq!(line.lines().count(), 1);
            assert!(line.contains(&format!("--auth {shown}")), "{line}");
            assert!(line.contains(&format!("(mode {mode:o})")), "{line}");
            assert!(line.ends_with(&format!("chmod 600 {shown}")), "{line}");
        }
        assert_eq!(exposure("--auth", home.path()), None, "no file");
        assert_eq!(exposure("--auth", &home.path().join("none")), None);
    }
}
