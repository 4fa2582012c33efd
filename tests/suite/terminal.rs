//! What a person at a terminal sees that a pipe does not: progress, and colours.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use genai_bridge::emulator::{Emulator, Fault};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::task::spawn_blocking;

use crate::setting::{KEY, behind};

/// A terminal: what the person sees, and what the program writes to.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&person).expect("its rights");
    unlockpt(&person).expect("its lock");
    let name = ptsname(&person, Vec::new()).expect("its name");
    let path = std::ffi::OsStr::from_bytes(name.as_bytes());
    let program = OpenOptions::new().read(true).write(true).open(path).expect("its other end");
    (person.into(), program)
}

/// All that the doctor shows on a terminal, in an environment of these variables.
async fn doctor(emulator: &Emulator, proxy: &str, environment: &[(&str, &str)]) -> String {
    let root = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(root.path(), emulator.root_certificate()).expect("written");
    let (mut person, program) = terminal();
    let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
    command.env_clear().env("GEMINI_API_KEY", KEY).envs(environment.iter().copied());
    command.args(["doctor", "--endpoint", &emulator.endpoint(), "--proxy", proxy]);
    command.arg("--root-certificates").arg(root.path());
    command.stdin(Stdio::null()).stdout(program.try_clone().expect("a copy")).stderr(program);
    let shown = spawn_blocking(move || {
        let mut child = command.spawn().expect("it runs");
        drop(command); // its copies of the terminal: the last one closed ends the reading
        let mut shown = Vec::new();
        // Linux ends a terminal whose programs have gone with EIO.
        let _ = person.read_to_end(&mut shown);
        child.wait().expect("it ends");
        String::from_utf8(shown).expect("UTF-8")
    });
    shown.await.expect("no panic")
}

const ERASE_LINE: &str = "\r\u{1b}[K";
const COLOUR: &str = "\u{1b}[3";

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_shows_each_station_on_one_line_that_goes() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let shown = doctor(&emulator, &proxy.url(), &[]).await;
    let (progress, report) = shown.rsplit_once(ERASE_LINE).expect("a line that is rewritten");
    let told: Vec<&str> = progress.split(ERASE_LINE).filter(|line| !line.is_empty()).collect();
    assert_eq!(told.first(), Some(&"examining"), "{shown:?}");
    for station in ["dns", "tcp", "proxy", "tls", "http2", "rest", "key"] {
        let line = format!("examining: {station} ");
        assert_eq!(told.iter().filter(|told| told.starts_with(&line)).count(), 1, "{shown:?}");
    }
    // The shortest terminal that people use.
    assert!(told.iter().all(|line| line.len() < 40 && !line.contains('\n')), "{told:?}");
    assert!(report.contains("FAILED") && !report.contains("examining"), "{report:?}");
    assert!(report.contains(COLOUR), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_takes_colours_and_a_dumb_terminal_the_progress() {
    let (emulator, proxy) = behind(Fault::InspectHttp1).await;
    let shown = doctor(&emulator, &proxy.url(), &[("NO_COLOR", "1")]).await;
    assert!(!shown.contains(COLOUR) && shown.contains(ERASE_LINE), "{shown:?}");
    let shown = doctor(&emulator, &proxy.url(), &[("NO_COLOR", "")]).await;
    assert!(shown.contains(COLOUR), "{shown:?}");
    let shown = doctor(&emulator, &proxy.url(), &[("TERM", "dumb"), ("NO_COLOR", "1")]).await;
    assert!(!shown.contains('\u{1b}') && shown.contains("FAILED"), "{shown:?}");
}
