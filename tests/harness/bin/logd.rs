//! `logd`: the machine's log. Takes what is sent to /dev/log and appends it to /run/log/auth.log, a line a message.
#![expect(clippy::print_stderr, reason = "a program")]

use pam_otp_tests::{machine, syslog};
use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::ExitCode,
};

fn main() -> ExitCode {
    if !machine::is_copy() {
        eprintln!("logd: /dev/log of the real machine is not mine; run it within tests/machine");
        return ExitCode::FAILURE;
    }
    if syslog::is_collected() {
        return ExitCode::SUCCESS;
    }
    match collect() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("logd: {why}");
            ExitCode::FAILURE
        }
    }
}

fn collect() -> io::Result<()> {
    fs::create_dir_all("/run/log")?;
    let mut log = File::options().create(true).append(true).open(syslog::FILE)?;
    let _ = fs::remove_file(syslog::SOCKET);
    let socket = UnixDatagram::bind(syslog::SOCKET)?;
    fs::set_permissions(syslog::SOCKET, Permissions::from_mode(0o666))?;
    let mut message = vec![0; 65536];
    loop {
        let length = socket.recv(&mut message)?;
        let line = syslog::line(message.get(..length).unwrap_or_default());
        log.write_all(line.as_bytes())?;
    }
}
