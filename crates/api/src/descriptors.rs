//! File descriptors: as many as the system allows, and who gets them.

use std::sync::LazyLock;

/// For everything but connections of clients: the database (1,000 at most), the provider of
/// distances, log files, the threads' own.
const RESERVED: u64 = 1_200;

/// How many connections of clients fit. The first call raises the soft limit of this process to
/// the hard one.
pub(crate) fn for_connections() -> usize {
    static LIMIT: LazyLock<u64> = LazyLock::new(|| {
        // Where it cannot be raised, what there is must do.
        rlimit::increase_nofile_limit(u64::MAX)
            .or_else(|_| rlimit::Resource::NOFILE.get_soft())
            .unwrap_or(1024)
    });
    usize::try_from(fitting(*LIMIT)).unwrap_or(usize::MAX)
}

/// Where there are few descriptors, the other half does for the rest.
fn fitting(limit: u64) -> u64 {
    (limit / 2).max(limit.saturating_sub(RESERVED)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_need_descriptors_too() {
        assert_eq!(fitting(1_048_576), 1_047_376);
        assert_eq!(fitting(4_096), 2_896);
        assert_eq!(fitting(1_024), 512);
        assert_eq!(fitting(0), 1);
    }
}
