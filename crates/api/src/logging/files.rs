//! A log file that is put aside when it is large, and goes on whatever happens to it.
//!
//! Crates for this give up, or panic, when the file is removed or the disk is full.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use super::UNWRITTEN;

/// A file is put aside before it gets larger than this, in bytes.
const MAX_BYTES: u64 = 5 * 1024 * 1024;
/// How many files that were put aside are kept.
const KEPT: u32 = 3;
/// How often it is looked whether the file is still where it was.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A file that takes whole lines, and those before it: `info.log`, `info.log.1`, …
pub(super) struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    open: Option<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    looked: Instant,
}

impl Open {
    /// Whether another file, or none, is at the path by now. Looked up every [`LOOK_EVERY`].
    fn has_moved_from(&mut self, path: &Path) -> bool {
        if self.looked.elapsed() < LOOK_EVERY {
            return false;
        }
        self.looked = Instant::now();
        let opened = self.file.metadata().map(|file| (file.dev(), file.ino()));
        let there = fs::metadata(path).map(|file| (file.dev(), file.ino()));
        opened.ok() != there.ok()
    }

    /// Whether the file has a name, which may be another one by now.
    fn is_linked(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.nlink() > 0)
    }
}

impl RotatingFile {
    /// Nothing is opened before there is a line to write.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, max_bytes: MAX_BYTES, open: None }
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if let Some(open) = &self.open
            && (open.bytes > 0 && open.bytes + length > self.max_bytes)
        {
            self.put_aside();
        }
        let open = self.opened()?;
        append(&open.file, line)?;
        open.bytes += length;
        Ok(())
    }

    /// The open file, reopened where it was moved or removed.
    fn opened(&mut self) -> io::Result<&mut Open> {
        if self.open.as_mut().is_none_or(|open| open.has_moved_from(&self.path)) {
            let reopened = self.reopen();
            // Lines of a file that was moved are not lost; those of one that was removed are.
            if !self.open.as_ref().is_some_and(Open::is_linked) {
                self.open = None;
                reopened?;
            }
        }
        self.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Opens the file at the path, or creates it. Where that fails, the one that was open stays so.
    fn reopen(&mut self) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let bytes = file.metadata()?.len();
        self.open = Some(Open { file, bytes, looked: Instant::now() });
        Ok(())
    }

    /// Each file takes the place of the one before it. Where that cannot be done, the file grows
    /// on: better than to lose lines.
    fn put_aside(&mut self) {
        let aside = |number: u32| {
            let mut path = self.path.clone().into_os_string();
            path.push(format!(".{number}"));
            PathBuf::from(path)
        };
        for number in (1..KEPT).rev() {
            let _ = fs::rename(aside(number), aside(number + 1));
        }
        if fs::rename(&self.path, aside(1)).and_then(|()| self.reopen()).is_err() {
            // As much again, before it is tried again.
            self.open.iter_mut().for_each(|open| open.bytes = 0);
        }
    }
}

/// Appends a line, or nothing: a part of it would be taken for one.
fn append(mut file: &File, line: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < line.len() {
        match file.write(&line[written..]) {
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if written > 0 {
                    let part = u64::try_from(written).unwrap_or(u64::MAX);
                    let length = file.metadata()?.len();
                    file.set_len(length.saturating_sub(part))?;
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line).inspect_err(|_| {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
        })?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log file that one thread writes and another may reopen.
#[derive(Clone)]
pub(super) struct SharedFile(Arc<Mutex<RotatingFile>>);

impl SharedFile {
    pub(super) fn new(file: RotatingFile) -> Self {
        Self(Arc::new(Mutex::new(file)))
    }

    fn lock(&self) -> MutexGuard<'_, RotatingFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
        self.lock().reopen()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.lock().path.clone()
    }
}

impl Write for SharedFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lock().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use tempfile::TempDir;

    use super::*;

    fn log(max_bytes: u64) -> (RotatingFile, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let file = RotatingFile::new(directory.path().join("logs/info.log"));
        (RotatingFile { max_bytes, ..file }, directory)
    }

    /// What is in the file, and in those that were put aside.
    fn contents(log: &RotatingFile) -> Vec<String> {
        let names = ["", ".1", ".2", ".3", ".4"];
        let paths = names.map(|name| format!("{}{name}", log.path.display()));
        paths.iter().map_while(|path| fs::read_to_string(path).ok()).collect()
    }

    #[test]
    fn it_is_put_aside_before_it_is_too_large_and_three_are_kept() {
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
    fn it_goes_on_where_an_earlier_process_ended() {
        let (mut first, _directory) = log(10);
        first.write_all(b"123456\n").unwrap();
        let mut second = RotatingFile { max_bytes: 10, ..RotatingFile::new(first.path.clone()) };
        second.write_all(b"7\n").unwrap();
        second.write_all(b"89\n").unwrap();
        assert_eq!(contents(&second), ["89\n", "123456\n7\n"]);
    }

    #[test]
    fn it_comes_back_when_it_or_its_directory_is_removed() {
        let (mut log, _directory) = log(100);
        log.write_all(b"lost\n").unwrap();
        fs::remove_file(&log.path).unwrap();
        sleep(LOOK_EVERY);
        log.write_all(b"one\n").unwrap();
        assert_eq!(contents(&log), ["one\n"]);
        fs::remove_dir_all(log.path.parent().unwrap()).unwrap();
        sleep(LOOK_EVERY);
        log.write_all(b"two\n").unwrap();
        assert_eq!(contents(&log), ["two\n"]);
    }

    #[test]
    fn reopened_file_is_the_one_at_the_path() {
        let (log, directory) = log(100);
        let moved = directory.path().join("moved");
        let mut file = SharedFile::new(log);
        file.write_all(b"one\n").unwrap();
        fs::rename(file.path(), &moved).unwrap();
        file.reopen().unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(moved).unwrap(), "one\n");
        assert_eq!(contents(&file.lock()), ["two\n"]);
    }

    #[test]
    fn file_that_cannot_be_reopened_is_written_where_it_is() {
        let (log, directory) = log(100);
        let (logs, moved) = (directory.path().join("logs"), directory.path().join("moved"));
        let mut file = SharedFile::new(log);
        file.write_all(b"one\n").unwrap();
        fs::rename(&logs, &moved).unwrap();
        fs::write(&logs, "a file where a directory must be").unwrap();
        file.reopen().unwrap_err();
        file.write_all(b"two\n").unwrap();
        sleep(LOOK_EVERY);
        file.write_all(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(moved.join("info.log")).unwrap(), "one\ntwo\nthree\n");

        fs::remove_file(&logs).unwrap();
        fs::rename(&moved, &logs).unwrap();
        file.reopen().unwrap();
        file.write_all(b"four\n").unwrap();
        assert_eq!(contents(&file.lock()), ["one\ntwo\nthree\nfour\n"]);
    }

    #[test]
    fn removed_file_that_cannot_be_created_loses_counted_lines() {
        let (log, directory) = log(100);
        let logs = directory.path().join("logs");
        let mut file = SharedFile::new(log);
        file.write_all(b"one\n").unwrap();
        fs::remove_dir_all(&logs).unwrap();
        fs::write(&logs, "a file where a directory must be").unwrap();
        sleep(LOOK_EVERY);
        let before = UNWRITTEN.load(Ordering::Relaxed);
        file.write_all(b"two\n").unwrap_err();
        assert!(UNWRITTEN.load(Ordering::Relaxed) > before);
    }

    #[test]
    fn a_line_that_is_not_taken_is_counted_and_the_next_one_is_tried() {
        let mut log = RotatingFile::new("/dev/full".into());
        let before = UNWRITTEN.load(Ordering::Relaxed);
        log.write_all(b"one\n").unwrap_err();
        log.write_all(b"two\n").unwrap_err();
        assert!(UNWRITTEN.load(Ordering::Relaxed) >= before + 2);
    }
}
