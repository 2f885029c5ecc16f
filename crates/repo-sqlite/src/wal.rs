//! Reads from the write-ahead log whether a failed commit was written.
//!
//! The format is that of <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// Whether the last transaction, whose commit failed, is certainly not in the log.
/// `committed_frames` is the number of frames that SQLite counts as committed.
///
/// SQLite writes a transaction as frames, and marks only the last of them as a commit. If the log
/// ends with an earlier commit, or with an unmarked frame, the mark was never written, and recovery
/// after a crash ignores the unmarked frames.
pub(crate) fn lacks_last_commit(wal: &Path, committed_frames: u64) -> io::Result<bool> {
    // SQLite has its locks on the other two files, so closing this one releases none.
    let file = File::open(wal)?;
    let length = file.metadata()?.len();
    let Some(frames_length) = length.checked_sub(HEADER_BYTES as u64) else { return Ok(true) };
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    let frame_bytes = FRAME_HEADER_BYTES as u64 + u64::from(word(&header, 8));
    let frames = frames_length / frame_bytes;
    if frames <= committed_frames {
        return Ok(true);
    }
    let mut frame = [0; FRAME_HEADER_BYTES];
    file.read_exact_at(&mut frame, HEADER_BYTES as u64 + (frames - 1) * frame_bytes)?;
    // Frames with another salt are from before the last restart of the log.
    let is_current = frame[8..16] == header[16..24];
    Ok(is_current && word(&frame, 4) == 0)
}

/// The big-endian integer at an offset.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PAGE_BYTES: u32 = 512;

    /// A log of frames, each with or without a commit mark and the current salt.
    fn log(frames: &[(bool, bool)], partial: usize) -> Vec<u8> {
        let mut log = [0; 32];
        log[8..12].copy_from_slice(&PAGE_BYTES.to_be_bytes());
        log[16..24].copy_from_slice(b"saltsalt");
        let mut log = log.to_vec();
        for &(is_commit, is_current) in frames {
            log.extend(1_u32.to_be_bytes());
            log.extend(u32::from(is_commit).to_be_bytes());
            log.extend(if is_current { b"saltsalt" } else { b"oldsalt!" });
            log.extend([0; 8 + PAGE_BYTES as usize]);
        }
        log.extend(vec![0; partial]);
        log
    }

    fn lacks(log: &[u8], committed_frames: u64) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wal");
        fs::write(&path, log).unwrap();
        lacks_last_commit(&path, committed_frames).unwrap()
    }

    #[test]
    fn unmarked_end_of_the_log_is_not_a_commit() {
        let (commit, other, old) = ((true, true), (false, true), (false, false));
        assert!(lacks(&[], 0));
        assert!(lacks(&log(&[], 0), 0));
        assert!(lacks(&log(&[other, commit], 0), 2), "nothing was written");
        assert!(lacks(&log(&[other, commit], 100), 2), "part of a frame was written");
        assert!(lacks(&log(&[commit, other], 100), 1), "some frames were written");
        assert!(!lacks(&log(&[commit, other, commit], 0), 1), "the commit was written");
        assert!(!lacks(&log(&[commit, other, old], 0), 1), "the log is reused");
    }
}
