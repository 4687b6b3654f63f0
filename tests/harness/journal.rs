//! A journal of its own: a real journald at /dev/log, in a mount namespace that no other test sees.

use crate::machine;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Everything that journald and the tests of it write is in memory. It ends with its standard input.
const START: &str = r#"
mkdir -p /run/systemd
for folder in /run/systemd /run/log /var/log; do mount -t tmpfs none $folder; done
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/systemd/journal /run/log/journal
"$1" 2> /dev/null & journald=$!
until [ -S /run/systemd/journal/dev-log ] && [ -S /run/systemd/journal/io.systemd.journal ]; do sleep 0.05; done
mount --bind /run/systemd/journal/dev-log /dev/log
echo ready
read -r _
kill $journald
"#;

/// A running journald.
#[derive(Debug)]
pub struct Journal(Child);

impl Journal {
    /// Waits until it listens.
    ///
    /// # Panics
    /// Outside the machine, and without journald.
    pub fn start() -> Journal {
        machine::require("a journal at /dev/log");
        let folders = ["/usr/lib/systemd", "/lib/systemd"].map(|folder| Path::new(folder).join("systemd-journald"));
        let journald = folders.into_iter().find(|path| path.exists()).expect("journald is part of systemd");
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "--propagation", "private", "sh", "-euc", START, "sh"]).arg(journald);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Journal(child)
    }

    /// The same command where this journal is.
    pub fn around(&self, command: &Command) -> Command {
        let mut around = Command::new("nsenter");
        around.arg(format!("--mount=/proc/{}/ns/mnt", self.0.id())).arg("--");
        around.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => around.env(name, value),
                None => around.env_remove(name),
            };
        }
        around
    }

    /// Waits until all that was sent is in it.
    ///
    /// # Panics
    /// When journald is gone.
    pub fn settle(&self) {
        machine::run(&mut self.around(Command::new("journalctl").arg("--sync")));
    }

    /// A shell where this journal is.
    ///
    /// # Panics
    /// When the line fails.
    pub fn shell(&self, line: &str) -> String {
        machine::run(&mut self.around(Command::new("sh").args(["-euc", line])))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
