//! Files that the command itself reads and writes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

use super::CommandError;

/// Parses the path of an output file. Standard output is refused, because the result of
/// the command is printed there.
pub(super) fn output_file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path == Path::new("-") {
        true => Err("must be a file, not standard output"),
        false => Ok(path),
    })
}

/// Whether `path` is this input, or an existing file in this input folder.
pub(super) fn is_input(input: &Path, path: &Path) -> bool {
    let inside = |input: PathBuf| path.canonicalize().is_ok_and(|it| it.starts_with(input));
    input == path || input.canonicalize().is_ok_and(inside)
}

/// Refuses an output file whose folder does not exist, before the command starts.
pub(super) fn check_folder(file: &Path) -> Result<(), CommandError> {
    let Some(folder) = file.parent().filter(|it| !it.as_os_str().is_empty()) else {
        return Ok(());
    };
    let error = match fs::metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => io::Error::from(io::ErrorKind::NotADirectory),
        Err(error) => error,
    };
    let failed = CommandError::usage(format!("writing {} failed: {error}", file.display()));
    Err(match help_for_output(&error) {
        Some(help) => failed.help(help),
        None => failed,
    })
}

/// The help for an output file that could not be written, unless the cause is the system.
pub(super) fn help_for_output(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), IsADirectory | NotADirectory | NotFound)
        .then_some("choose a file in a folder that exists")
}

/// Reads a text of at most `max` bytes, so that no file fills the memory.
pub(super) fn read(path: &Path, max: u64) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(max + 1);
    if file.read_to_string(&mut text)? as u64 > max {
        let reason = format!("it is larger than {} MB", max / 1_000_000);
        return Err(io::Error::other(reason));
    }
    Ok(text)
}

/// The same as [`read`], but only for regular files, because a pipe could block forever.
pub(super) fn read_regular(path: &Path, most: u64) -> io::Result<String> {
    match fs::metadata(path)?.is_file() {
        true => read(path, most),
        false => Err(io::Error::other("not a file")),
    }
}

/// Writes a file that only its owner can read, completely or not at all. A pipe or a
/// device is written to directly.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return File::options()
                .write(true)
                .open(path)?
                .write_all(text.as_bytes());
        }
        _ => {}
    }
    // The target of a link is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Its error does not name a temporary file.
    fs::metadata(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(2_000_001).unwrap();
        assert_eq!(read(file.path(), 2_000_001).unwrap().len(), 2_000_001);
        let error = read(file.path(), 2_000_000).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 2 MB");
    }

    #[test]
    fn the_folder_of_an_output_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(check_folder(&file).is_ok());
        assert!(check_folder(Path::new("file")).is_ok());
        fs::write(&file, "").unwrap();
        for (path, reason) in [("none/a", "No such file"), ("file/a", "not a directory")] {
            let error = check_folder(&folder.path().join(path)).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.advice().unwrap().starts_with("choose a file"));
        }
    }

    #[test]
    fn inputs_are_recognized_regardless_of_the_notation_of_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let (specs, file) = (
            folder.path().join("specs"),
            folder.path().join("specs/a.yml"),
        );
        fs::create_dir(&specs).unwrap();
        fs::write(&file, "").unwrap();
        let again = specs.join("../specs/./a.yml");
        assert!(is_input(&file, &again));
        assert!(is_input(&specs, &again));
        assert!(!is_input(&file, &specs.join("b.yml")));
        assert!(!is_input(&specs, &folder.path().join("a.yml")));
        let new = Path::new("new.json");
        assert!(is_input(new, new));
    }

    #[test]
    fn an_error_does_not_name_the_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_private(&folder.path().join("none/plan.json"), "{}").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!error.to_string().contains("none"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["plan.json", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write_private(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write_private(&pipe, "plan").unwrap();
        assert_eq!(reader.join().unwrap(), "plan");
        assert!(!fs::metadata(&pipe).unwrap().is_file());
    }
}
