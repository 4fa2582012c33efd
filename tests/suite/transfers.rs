//! The commands that move files, on a network that cuts.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use genai_bridge::emulator::Emulator;
use tokio::task::spawn_blocking;

use crate::cutter::{Cutter, Way};

const BLOCK: usize = 1 << 20;
/// Megabytes to move, and after how many a connection is cut. By hand it can be more:
/// `GENAI_BRIDGE_TRANSFER=1000,50 cargo test --all-features --test suite megabytes -- --nocapture`.
fn blocks_and_cut() -> (usize, usize) {
    let given = std::env::var("GENAI_BRIDGE_TRANSFER").unwrap_or_else(|_| "100,30".to_owned());
    let (blocks, cut) = given.split_once(',').expect("two numbers");
    let number = |text: &str| text.parse::<usize>().expect("a number");
    (number(blocks), number(cut) << 20)
}

/// A megabyte that is no other.
fn block(number: usize) -> Vec<u8> {
    let mut block = vec![u8::try_from(number % 251).unwrap(); BLOCK];
    block[..8].copy_from_slice(&(number as u64).to_be_bytes());
    block
}

fn program(arguments: &[&str], cutter: &Cutter) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genai-bridge"));
    command.args(arguments).args(["--proxy", "none", "--endpoint"]);
    command.arg(format!("http://{}", cutter.address)).env("GEMINI_API_KEY", "a-key");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the process holds in memory of its own; 0 where that is not told.
fn held(process: &Child) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0) * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_go_up_once_and_come_down_in_little_memory() {
    let (blocks, cut) = blocks_and_cut();
    let emulator = Emulator::builder().plaintext().start().await.expect("an emulator");
    let up = Cutter::start(emulator.address(), Way::Up, cut).await;
    let mut upload = program(&["upload", "-", "--mime-type", "video/mp4"], &up);
    let (output, most) = spawn_blocking(move || {
        let mut process = upload.spawn().expect("a process");
        let mut input = process.stdin.take().expect("piped");
        let mut most = 0;
        for number in 0..blocks {
            input.write_all(&block(number)).expect("a reader");
            most = most.max(held(&process));
        }
        drop(input);
        (process.wait_with_output().expect("an end"), most)
    })
    .await
    .expect("no panic");
    assert!(output.status.success(), "{output:?}");
    let name = String::from_utf8(output.stdout).expect("a name");
    let file = emulator.file(name.trim()).expect("a file");
    assert!(
        (0..blocks).all(|number| file.slice(number * BLOCK..(number + 1) * BLOCK) == block(number))
    );
    assert_eq!((file.len(), emulator.open_uploads()), (blocks * BLOCK, 0));
    assert!(up.cuts() >= 3, "{}", up.cuts());
    let most_sent = file.len() + up.cuts() * (8 << 20) + (1 << 20);
    assert!(up.up() <= most_sent, "{} bytes for {} and {} cuts", up.up(), file.len(), up.cuts());
    assert!(most < 32 << 20, "{most} bytes in memory");
    println!("up: {} bytes for {}, {} cuts, {most} in memory", up.up(), file.len(), up.cuts());

    let down = Cutter::start(emulator.address(), Way::Down, cut).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("back");
    let output = path.to_str().expect("text");
    let mut download = program(&["download", name.trim(), "--output", output], &down);
    let (output, most) = spawn_blocking(move || {
        let mut process = download.spawn().expect("a process");
        let mut most = 0;
        while process.try_wait().expect("a state").is_none() {
            most = most.max(held(&process));
            std::thread::yield_now();
        }
        (process.wait_with_output().expect("an end"), most)
    })
    .await
    .expect("no panic");
    assert!(output.status.success(), "{output:?}");
    assert!(most < 32 << 20, "{most} bytes in memory");
    println!("down: {} cuts, {most} in memory", down.cuts());
    assert!(std::fs::read(&path).expect("a file") == file && down.cuts() >= 3, "{}", down.cuts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_fails_says_why_and_leaves_nothing() {
    let emulator = Emulator::builder().plaintext().start().await.expect("an emulator");
    let cutter = Cutter::start(emulator.address(), Way::Up, usize::MAX).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none");
    for arguments in [["upload", "/nowhere/at/all"], ["download", "files/none"]] {
        let mut command = program(&arguments, &cutter);
        if arguments[0] == "download" {
            command.arg("--output").arg(&path);
        }
        let output =
            spawn_blocking(move || command.output().expect("an end")).await.expect("no panic");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), words.is_empty()), (Some(1), false), "{words}");
        assert!(output.stdout.is_empty() && !path.exists() && !words.contains("a-key"), "{words}");
    }
}
