//! Files are written aside and renamed into place: nobody ever sees half of one, whenever the machine stops.

use std::io::{self, Write};
use std::path::Path;

/// How names of files begin that are being written. A process that is killed meanwhile leaves one behind.
pub const ASIDE_PREFIX: &str = ".trishift-";

/// Writes `contents` to `path`, replacing what was there in one step.
///
/// # Errors
/// Those of the file system; `path` is untouched then.
pub fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut aside = tempfile::Builder::new().prefix(ASIDE_PREFIX).tempfile_in(folder)?;
    aside.write_all(contents)?;
    aside.as_file().sync_all()?;
    set_ordinary_permissions(aside.as_file())?;
    aside.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A temporary file is private; a result is not.
fn set_ordinary_permissions(file: &std::fs::File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_atomically(&folder.path().join("missing/result"), b"").is_err());
    }
}
