use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};

use proptest::prelude::*;
use rstest::rstest;
use tempfile::{NamedTempFile, TempDir};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::*;

impl Bits {
    /// Bits with many files that are large enough for a pool and are not in it.
    pub(crate) fn of_resources(count: usize) -> Self {
        let entry = |i: usize| {
            let mut sha1 = FileId::default();
            sha1[..8].copy_from_slice(&i.to_le_bytes());
            let size = MIN_POOLED_SIZE;
            Entry {
                name: i.to_string(),
                mode: 0o644,
                kind: EntryKind::File { sha1, size },
                index: 0,
            }
        };
        Self {
            source: Source::Folder(PathBuf::new()),
            entries: (0..count).map(entry).collect(),
            sha256: String::new(),
            _folder: None,
        }
    }
}

fn folder_of(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

fn folder() -> TempDir {
    folder_of(&[
        ("main.go", b"package main"),
        ("manifest.yml", b"applications: []"),
        ("sub/manifest.yml", b"ignored"),
        ("sub/kept", b"kept"),
        ("sub/a.log", b"ignored"),
        ("sub/.git/config", b"ignored"),
        (".cfignore", b"*.log\n"),
    ])
}

/// An archive with entries in the given order. A name that ends in `/` is a folder.
fn archive_of(prefix: &[u8], entries: &[(&str, &[u8])]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = SimpleFileOptions::default();
        if name.ends_with('/') {
            zip.add_directory(*name, options).unwrap();
        } else {
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
    }
    let zipped = zip.finish().unwrap().into_inner();
    file.reopen()
        .unwrap()
        .write_all(&[prefix, &zipped].concat())
        .unwrap();
    file
}

fn zipped(bits: &Bits) -> ZipArchive<File> {
    let zip = bits.zip(&HashSet::new()).unwrap().unwrap();
    ZipArchive::new(zip.reopen().unwrap()).unwrap()
}

/// Contents by path. Folders end in `/`.
fn contents(mut zip: ZipArchive<File>) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for i in 0..zip.len() {
        let mut file = zip.by_index(i).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        all.insert(file.name().unwrap().into_owned(), content);
    }
    all
}

fn names(zip: &ZipArchive<File>) -> Vec<String> {
    let names = zip.file_names();
    names.map(|name| name.unwrap().into_owned()).collect()
}

fn mode(zip: &mut ZipArchive<File>, name: &str) -> u32 {
    zip.by_name(name).unwrap().unix_mode().unwrap()
}

fn error_of(path: &Path) -> String {
    let shown = Bits::read(path).unwrap_err().to_string();
    let start = format!("reading the bits in {} failed: ", path.display());
    shown.strip_prefix(&start).unwrap().to_owned()
}

#[test]
fn a_zip_contains_all_files_except_ignored_ones() {
    let dir = folder();
    fs::create_dir(dir.path().join("empty")).unwrap();
    let bits = Bits::read(dir.path()).unwrap();
    assert_eq!(
        names(&zipped(&bits)),
        ["empty/", "main.go", "sub/", "sub/kept"]
    );
}

#[test]
fn only_the_cfignore_of_the_root_is_read() {
    let dir = folder_of(&[("sub/.cfignore", b"a"), ("sub/a", b""), ("b", b"")]);
    let bits = Bits::read(dir.path()).unwrap();
    assert_eq!(names(&zipped(&bits)), ["b", "sub/", "sub/a"]);
}

#[test]
fn equal_bits_give_equal_zips() {
    let (one, other) = (folder(), folder());
    let large = vec![7; 3_000_000];
    for dir in [&one, &other] {
        fs::write(dir.path().join("large"), &large).unwrap();
    }
    let old = File::options()
        .write(true)
        .open(other.path().join("main.go"))
        .unwrap();
    old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let (one, other) = (
        Bits::read(one.path()).unwrap(),
        Bits::read(other.path()).unwrap(),
    );
    assert_eq!(one.sha256(), other.sha256());
    let bytes = |bits: &Bits| fs::read(bits.zip(&HashSet::new()).unwrap().unwrap().path()).unwrap();
    assert_eq!(bytes(&one), bytes(&other));
    assert_eq!(contents(zipped(&one))["large"], large);
}

#[test]
fn a_folder_and_its_archive_have_equal_bits() {
    let dir = folder();
    let folder = Bits::read(dir.path()).unwrap();
    let zip = folder.zip(&HashSet::new()).unwrap().unwrap();
    let archive = Bits::read(zip.path()).unwrap();
    assert_eq!(contents(zipped(&archive)), contents(zipped(&folder)));
}

#[test]
fn any_change_changes_the_hash() {
    let dir = folder();
    let hash = || Bits::read(dir.path()).unwrap().sha256().to_owned();
    let before = hash();
    fs::write(dir.path().join("main.go"), "package main2").unwrap();
    let content = hash();
    fs::rename(dir.path().join("main.go"), dir.path().join("other.go")).unwrap();
    let name = hash();
    fs::write(dir.path().join("manifest.yml"), "not of the bits").unwrap();
    let ignored = hash();
    assert_ne!(before, content);
    assert_ne!(content, name);
    assert_eq!(name, ignored);
}

/// The hash is stored with packages. If its computation changed, every app would be
/// pushed again.
#[test]
fn the_hash_never_changes() {
    let dir = folder_of(&[("a/b", b"x"), ("c", b"")]);
    let bits = Bits::read(dir.path()).unwrap();
    insta::assert_snapshot!(bits.sha256(), @"44ac9334f7e2e29cdf72ac6591e1ce7b2b879687c08e3895a9533438539bc781");
}

#[cfg(unix)]
#[test]
fn permissions_and_links_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = folder();
    let run = dir.path().join("run.sh");
    fs::write(&run, "#!/bin/sh").unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o751)).unwrap();
    let sub = dir.path().join("sub");
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o700)).unwrap();
    symlink("run.sh", dir.path().join("start")).unwrap();
    symlink("sub", dir.path().join("to-folder")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    let bits = Bits::read(dir.path()).unwrap();
    let mut zip = zipped(&bits);
    assert_eq!(mode(&mut zip, "run.sh"), 0o100_751);
    assert_eq!(mode(&mut zip, "sub/"), 0o040_755);
    for (link, target) in [
        ("start", "run.sh"),
        ("to-folder", "sub"),
        ("dangling", "nowhere"),
    ] {
        let mut link = zip.by_name(link).unwrap();
        assert!(link.is_symlink());
        let mut read = String::new();
        link.read_to_string(&mut read).unwrap();
        assert_eq!(read, target);
    }
    let zip = bits.zip(&HashSet::new()).unwrap().unwrap();
    let archive = Bits::read(zip.path()).unwrap();
    let mut again = zipped(&archive);
    assert_eq!(mode(&mut again, "run.sh"), 0o100_744);
    assert!(again.by_name("dangling").unwrap().is_symlink());
}

#[cfg(unix)]
#[test]
fn errors_name_unusable_files() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::UnixListener;
    let dir = folder_of(&[("a", b"")]);
    let socket = dir.path().join("sub.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert_eq!(
        error_of(dir.path()),
        "sub.sock is a socket; remove it, or exclude it with .cfignore"
    );
    fs::write(dir.path().join(".cfignore"), "*.sock").unwrap();
    assert!(Bits::read(dir.path()).is_ok());
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(dir.path().join(name), "").unwrap();
    assert!(
        error_of(dir.path()).ends_with("is not UTF-8; rename it, or exclude it with .cfignore")
    );
}

#[test]
fn the_error_names_a_file_that_cannot_be_read() {
    let dir = folder_of(&[("a", b"1"), ("sub/b", b"2")]);
    let bits = Bits::read(dir.path()).unwrap();
    fs::remove_file(dir.path().join("sub/b")).unwrap();
    let error = bits.zip(&HashSet::new()).unwrap_err().to_string();
    assert!(error.contains("sub/b: No such file"), "{error}");
}

#[rstest]
#[case::other("2", 1)]
#[case::longer("11", 1)]
#[case::shorter("", 1)]
#[case::large_and_other("2", 2_000_000)]
#[case::large_and_longer("11", 2_000_000)]
fn a_file_that_changes_before_it_is_zipped_is_an_error(#[case] then: &str, #[case] times: usize) {
    let dir = folder_of(&[("a", "1".repeat(times).as_bytes())]);
    let bits = Bits::read(dir.path()).unwrap();
    fs::write(dir.path().join("a"), then.repeat(times)).unwrap();
    let error = bits.zip(&HashSet::new()).unwrap_err().to_string();
    assert!(error.ends_with(": a changed while it was read"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_has_grown_since_it_was_opened_is_an_error() {
    // The kernel reports 0 as its size.
    let folder = Source::Folder("/proc/self".into());
    let entry = Entry {
        name: "status".to_owned(),
        mode: 0,
        kind: EntryKind::unread(),
        index: 0,
    };
    let mut contents = contents::Contents::open(&folder).unwrap();
    let read = contents.read(&entry, &mut |_| Ok(()));
    assert_eq!(
        read.unwrap_err().to_string(),
        "status changed while it was read"
    );
}

#[test]
fn a_cfignore_that_is_not_a_file_is_an_error() {
    let dir = folder_of(&[("a", b"1")]);
    fs::create_dir(dir.path().join(".cfignore")).unwrap();
    assert_eq!(error_of(dir.path()), ".cfignore: not a file");
}

#[test]
fn an_empty_folder_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    assert_eq!(error_of(dir.path()), "no files to push");
    fs::write(dir.path().join(".cfignore"), "*").unwrap();
    fs::write(dir.path().join("a"), "").unwrap();
    assert_eq!(error_of(dir.path()), "no files to push");
    assert_eq!(error_of(&dir.path().join("none")), "no such file or folder");
    let empty = archive_of(b"", &[]);
    assert_eq!(error_of(empty.path()), "no files to push");
}

#[rstest]
#[case::plain(b"")]
#[case::with_a_script_before_it(b"#!/bin/sh\nexec java -jar $0\n")]
fn an_archive_is_read_like_a_folder(#[case] prefix: &[u8]) {
    let archive = archive_of(
        prefix,
        &[
            ("META-INF/", b""),
            ("META-INF/MANIFEST.MF", b"Main-Class: A"),
            ("./b.class", b"b"),
            ("a.log", b"ignored"),
            ("deep/.git/config", b"ignored"),
            ("tmp/x", b"ignored"),
            (".cfignore", b"*.log\ntmp/\n"),
            ("a.class", b"a"),
        ],
    );
    let bits = Bits::read(archive.path()).unwrap();
    let mut zip = zipped(&bits);
    assert_eq!(mode(&mut zip, "a.class"), 0o100_744);
    assert_eq!(mode(&mut zip, "META-INF/"), 0o040_755);
    assert_eq!(
        names(&zip),
        ["META-INF/", "META-INF/MANIFEST.MF", "a.class", "b.class"]
    );
}

#[test]
fn a_file_that_is_not_an_archive_is_an_error() {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), "hello").unwrap();
    let error = error_of(file.path());
    assert!(
        error.starts_with("not a folder, zip, jar or war file: "),
        "{error}"
    );
}

#[rstest]
#[case("../a")]
#[case("a/../../b")]
#[case("/etc/passwd")]
#[case("..\\a")]
#[case("\\a")]
fn an_archive_with_paths_out_of_it_is_refused(#[case] name: &str) {
    let archive = archive_of(b"", &[("ok", b""), (name, b"")]);
    assert_eq!(
        error_of(archive.path()),
        format!("the path {name} leads out of the archive")
    );
}

#[test]
fn an_archive_with_a_file_twice_is_refused() {
    let archive = archive_of(b"", &[("a", b"1"), ("./a", b"2")]);
    assert_eq!(error_of(archive.path()), "the archive contains a twice");
}

#[test]
fn the_error_names_a_damaged_file_of_an_archive() {
    let archive = archive_of(b"", &[("a", &[b'a'; 1000]), ("b", b"")]);
    let mut bytes = fs::read(archive.path()).unwrap();
    bytes[33..36].copy_from_slice(b"???");
    fs::write(archive.path(), bytes).unwrap();
    let error = error_of(archive.path());
    assert!(error.starts_with("a: "), "{error}");
}

/// A known file of 64 KiB, and the given files.
fn with_a_known_file(others: &[(&str, &[u8])]) -> (TempDir, Bits, HashSet<FileId>) {
    let known = vec![1; 65_536];
    let dir = folder_of(others);
    fs::create_dir_all(dir.path().join("lib")).unwrap();
    fs::write(dir.path().join("lib/known.jar"), &known).unwrap();
    let bits = Bits::read(dir.path()).unwrap();
    let known = HashSet::from([Sha1::digest(&known).into()]);
    (dir, bits, known)
}

#[test]
fn known_files_are_not_zipped() {
    let (_dir, bits, known) = with_a_known_file(&[("main.go", b"package main")]);
    let resources: Vec<&str> = bits.resources().map(|it| it.path).collect();
    assert_eq!(resources, ["lib/known.jar"]);
    let zip = bits.zip(&known).unwrap().unwrap();
    let zip = ZipArchive::new(zip.reopen().unwrap()).unwrap();
    assert_eq!(names(&zip), ["lib/", "main.go"]);
}

#[test]
fn no_zip_is_written_if_all_files_are_known() {
    let (dir, bits, known) = with_a_known_file(&[]);
    assert!(bits.zip(&known).unwrap().is_none());
    fs::create_dir(dir.path().join("empty")).unwrap();
    let bits = Bits::read(dir.path()).unwrap();
    assert!(bits.zip(&known).unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn small_files_are_not_looked_up_in_the_pool() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, bits, known) = with_a_known_file(&[("small", &[1; 65_535]), ("empty", b"")]);
    assert_eq!(bits.resources().count(), 1);
    let jar = dir.path().join("lib/known.jar");
    fs::set_permissions(&jar, fs::Permissions::from_mode(0o444)).unwrap();
    let bits = Bits::read(dir.path()).unwrap();
    assert_eq!(bits.resources().count(), 0);
    let zip = bits.zip(&known).unwrap().unwrap();
    let zip = ZipArchive::new(zip.reopen().unwrap()).unwrap();
    assert!(names(&zip).contains(&"lib/known.jar".to_owned()));
}

fn files() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    let path = proptest::collection::vec("[ab]{1,2}", 0..3);
    let name = (path, "[a-c]{1,3}\\.(txt|log|git)");
    let content = proptest::collection::vec(any::<u8>(), 0..2000);
    let file = name.prop_map(|(mut path, name)| {
        path.push(name);
        path.join("/")
    });
    proptest::collection::btree_map(file, content, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_files_of_an_archive_except_ignored_ones_are_read(files in files()) {
        let given: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice()))
            .collect();
        let dir = folder_of(&given);
        fs::write(dir.path().join(".cfignore"), "*.log\n/aa/\n").unwrap();
        fs::write(dir.path().join("kept"), "").unwrap();
        let mut expected = files.clone();
        expected.retain(|name, _| !name.ends_with(".log") && !name.starts_with("aa/"));
        expected.insert("kept".to_owned(), Vec::new());

        let bits = Bits::read(dir.path()).unwrap();
        let mut unzipped = contents(zipped(&bits));
        unzipped.retain(|name, _| !name.ends_with('/'));
        prop_assert_eq!(&unzipped, &expected);

        let given: Vec<(&str, &[u8])> = given.into_iter().rev().chain([
            (".cfignore", b"*.log\n/aa/\n".as_slice()),
            ("kept", b"".as_slice()),
        ]).collect();
        let archive = archive_of(b"", &given);
        let bits = Bits::read(archive.path()).unwrap();
        prop_assert_eq!(&contents(zipped(&bits)), &expected);
    }
}

/// An archive whose directory lists other sizes than its files have.
fn with_sizes(files: usize, size: u32) -> tempfile::NamedTempFile {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for i in 0..files {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(format!("file-{i}"), options).unwrap();
        zip.write_all(&[b'x'; 5000]).unwrap();
    }
    let mut bytes = zip.finish().unwrap().into_inner();
    let headers: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, it)| *it == b"PK\x01\x02")
        .map(|(at, _)| at)
        .collect();
    assert_eq!(headers.len(), files);
    for at in headers {
        bytes[at + 24..at + 28].copy_from_slice(&size.to_le_bytes());
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn an_archive_that_unpacks_to_too_much_is_refused() {
    let error = Bits::read(with_sizes(3, u32::MAX - 1).path()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.ends_with("the archive unpacks to more than 8 GiB"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_larger_than_its_declared_size_is_refused() {
    let error = Bits::read(with_sizes(1, 10).path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("file-0"), "{error}");
}
