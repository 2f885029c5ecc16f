//! The limit of open file descriptors.

/// Descriptors that are not for client connections: those of the database (at most 1,000), the
/// distance provider, log files and threads.
const RESERVED: u64 = 1_200;

/// Raises the soft limit of this process to the hard one. Returns how many client connections fit.
pub(crate) fn raise_fd_limit() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX)
        .or_else(|_| rlimit::Resource::NOFILE.get_soft())
        .unwrap_or(1024);
    usize::try_from(for_clients(limit)).unwrap_or(usize::MAX)
}

/// At least half of the descriptors are for clients.
fn for_clients(limit: u64) -> u64 {
    (limit / 2).max(limit.saturating_sub(RESERVED)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_reserved() {
        assert_eq!(for_clients(1_048_576), 1_047_376);
        assert_eq!(for_clients(4_096), 2_896);
        assert_eq!(for_clients(1_024), 512);
        assert_eq!(for_clients(0), 1);
    }
}
