//! Supervisor processes, which stop a server and remove its directory when the test ends.

use std::{
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
};

/// A shell that waits for the end of its standard input and then cleans up. The input ends when
/// this is dropped, or when the process of the test ends in any way.
#[derive(Debug)]
pub(crate) struct Supervisor {
    process: Child,
    liveness_pipe: Option<ChildStdin>,
}

impl Supervisor {
    /// Starts a command with a shell, a script and the script's arguments.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C and test runners signal the process group of the test.
            .process_group(0)
            .spawn()
            .unwrap();
        Self { liveness_pipe: process.stdin.take(), process }
    }

    /// Returns the pipe. The supervisor waits for the pipe's end, and no longer for this process.
    pub(crate) fn into_liveness_pipe(mut self) -> ChildStdin {
        self.liveness_pipe.take().expect("only this function takes it, and it consumes self")
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(pipe) = self.liveness_pipe.take() {
            drop(pipe);
            let _ = self.process.wait();
        }
    }
}
