//! A log file that is rotated by size, and that may be moved or deleted at any time.
//!
//! Decision 015 says what the crates for this lose.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use super::dropped_lines::DroppedLines;

/// A file is rotated before it exceeds this size.
const MAX_BYTES: u64 = 5 * 1024 * 1024;
/// How many rotated files are kept.
const MAX_ROTATED: u32 = 3;
/// How often the writer checks whether the path still leads to the open file.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Appends whole lines to a file, for example `info.log`, and rotates it to `info.log.1`,
/// `info.log.2` and so on. Clones share the file: one thread writes while another may reopen it.
#[derive(Clone, Debug)]
pub(super) struct RotatingFile {
    pub(super) path: PathBuf,
    max_bytes: u64,
    dropped: DroppedLines,
    open: Arc<Mutex<Option<OpenFile>>>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    /// The size before which the file is rotated.
    rotate_at: u64,
    checked: Instant,
}

impl RotatingFile {
    /// Opens nothing before the first line is written.
    pub(super) fn new(path: PathBuf, dropped: DroppedLines) -> Self {
        Self { path, max_bytes: MAX_BYTES, dropped, open: Arc::default() }
    }

    /// Opens the file at the path, or creates it. If that fails, the open file stays in use.
    pub(super) fn reopen(&self) -> io::Result<()> {
        *self.lock() = Some(self.open_at_path()?);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<OpenFile>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_at_path(&self) -> io::Result<OpenFile> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        Ok(OpenFile { file, rotate_at: self.max_bytes, checked: Instant::now() })
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.lock();
        if let Some(file) = open.as_mut().filter(|file| file.is_full(line)) {
            match self.rotate() {
                Ok(rotated) => *file = rotated,
                // The file grows: that is better than losing lines.
                Err(_) => file.rotate_at += self.max_bytes,
            }
        }
        if open.as_mut().is_none_or(|file| file.has_moved_from(&self.path)) {
            match self.open_at_path() {
                Ok(file) => *open = Some(file),
                // A moved file keeps its lines; those of a deleted one would be lost uncounted.
                Err(_) if open.as_ref().is_some_and(OpenFile::is_linked) => {}
                Err(error) => {
                    *open = None;
                    return Err(error);
                }
            }
        }
        open.as_ref().map_or(Ok(()), |file| file.append(line))
    }

    /// Renames each file to the name of the next older one, and opens a new file.
    fn rotate(&self) -> io::Result<OpenFile> {
        let rotated = |number: u32| self.path.with_added_extension(number.to_string());
        for number in (1..MAX_ROTATED).rev() {
            let _ = fs::rename(rotated(number), rotated(number + 1));
        }
        fs::rename(&self.path, rotated(1))?;
        self.open_at_path()
    }
}

impl OpenFile {
    /// Whether the file has content and would exceed its size with this line.
    fn is_full(&self, line: &[u8]) -> bool {
        let length = self.file.metadata().map_or(0, |file| file.len());
        length > 0 && length.saturating_add(line.len() as u64) > self.rotate_at
    }

    /// Whether the path leads to another file or to none. Checked every [`CHECK_INTERVAL`].
    fn has_moved_from(&mut self, path: &Path) -> bool {
        if self.checked.elapsed() < CHECK_INTERVAL {
            return false;
        }
        self.checked = Instant::now();
        let identity = |file: fs::Metadata| (file.dev(), file.ino());
        self.file.metadata().map(identity).ok() != fs::metadata(path).map(identity).ok()
    }

    /// Whether the file has a name, which may differ from the one it was opened by.
    fn is_linked(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.nlink() > 0)
    }

    /// Appends the whole line or nothing: a reader would take a part of it for a line.
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        (&self.file).write_all(line).inspect_err(|_| {
            let _ = self.file.set_len(length);
        })
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line).inspect_err(|_| {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        })?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use tempfile::TempDir;

    use super::*;

    fn log(max_bytes: u64) -> (RotatingFile, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/info.log");
        let file = RotatingFile::new(path, DroppedLines::default());
        (RotatingFile { max_bytes, ..file }, directory)
    }

    /// The content of the file and of the rotated ones.
    fn contents(log: &RotatingFile) -> Vec<String> {
        let names = ["", ".1", ".2", ".3", ".4"];
        let paths = names.map(|name| format!("{}{name}", log.path.display()));
        paths.iter().map_while(|path| fs::read_to_string(path).ok()).collect()
    }

    #[test]
    fn file_is_rotated_before_it_is_too_large() {
        let (mut log, _directory) = log(10);
        for n in 0..10 {
            log.write_all(format!("line{n}\n").as_bytes()).unwrap();
        }
        assert_eq!(contents(&log), ["line9\n", "line8\n", "line7\n", "line6\n"]);
        log.write_all(b"a line that alone is too large\n").unwrap();
        log.write_all(b"x\n").unwrap();
        let expected = ["x\n", "a line that alone is too large\n", "line9\n", "line8\n"];
        assert_eq!(contents(&log), expected);
    }

    #[test]
    fn file_that_cannot_be_rotated_grows() {
        let (mut log, _directory) = log(10);
        log.write_all(b"1234\n").unwrap();
        for number in 1..=MAX_ROTATED {
            let blocked = log.path.with_added_extension(number.to_string());
            fs::create_dir_all(blocked.join("directory")).unwrap();
        }
        for _ in 0..3 {
            log.write_all(b"5678\n").unwrap();
        }
        assert_eq!(contents(&log), ["1234\n5678\n5678\n5678\n"]);
    }

    #[test]
    fn file_of_an_earlier_process_is_continued() {
        let (mut first, _directory) = log(10);
        first.write_all(b"123456\n").unwrap();
        let second = RotatingFile::new(first.path.clone(), DroppedLines::default());
        let mut second = RotatingFile { max_bytes: 10, ..second };
        second.write_all(b"7\n").unwrap();
        second.write_all(b"89\n").unwrap();
        assert_eq!(contents(&second), ["89\n", "123456\n7\n"]);
    }

    #[test]
    fn deleted_file_or_directory_is_created_again() {
        let (mut log, _directory) = log(100);
        log.write_all(b"lost\n").unwrap();
        fs::remove_file(&log.path).unwrap();
        sleep(CHECK_INTERVAL);
        log.write_all(b"one\n").unwrap();
        assert_eq!(contents(&log), ["one\n"]);
        fs::remove_dir_all(log.path.parent().unwrap()).unwrap();
        sleep(CHECK_INTERVAL);
        log.write_all(b"two\n").unwrap();
        assert_eq!(contents(&log), ["two\n"]);
    }

    #[test]
    fn reopened_file_is_the_one_at_the_path() {
        let (mut log, directory) = log(100);
        let moved = directory.path().join("moved");
        log.write_all(b"one\n").unwrap();
        fs::rename(&log.path, &moved).unwrap();
        log.reopen().unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(moved).unwrap(), "one\n");
        assert_eq!(contents(&log), ["two\n"]);
    }

    #[test]
    fn file_that_cannot_be_reopened_is_written_where_it_is() {
        let (mut log, directory) = log(100);
        let (logs, moved) = (directory.path().join("logs"), directory.path().join("moved"));
        log.write_all(b"one\n").unwrap();
        fs::rename(&logs, &moved).unwrap();
        fs::write(&logs, "a file where a directory must be").unwrap();
        log.reopen().unwrap_err();
        log.write_all(b"two\n").unwrap();
        sleep(CHECK_INTERVAL);
        log.write_all(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(moved.join("info.log")).unwrap(), "one\ntwo\nthree\n");

        fs::remove_file(&logs).unwrap();
        fs::rename(&moved, &logs).unwrap();
        log.reopen().unwrap();
        log.write_all(b"four\n").unwrap();
        assert_eq!(contents(&log), ["one\ntwo\nthree\nfour\n"]);
    }

    #[test]
    fn lines_of_a_file_that_cannot_be_created_are_counted() {
        let (mut log, directory) = log(100);
        let logs = directory.path().join("logs");
        log.write_all(b"one\n").unwrap();
        fs::remove_dir_all(&logs).unwrap();
        fs::write(&logs, "a file where a directory must be").unwrap();
        sleep(CHECK_INTERVAL);
        log.write_all(b"two\n").unwrap_err();
        assert_eq!(log.dropped.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn lines_that_are_not_accepted_are_counted() {
        let mut log = RotatingFile::new("/dev/full".into(), DroppedLines::default());
        log.write_all(b"one\n").unwrap_err();
        log.write_all(b"two\n").unwrap_err();
        assert_eq!(log.dropped.load(Ordering::Relaxed), 2);
    }
}
