//! What a call costs after the verdict, against forced REST: instructions of the client alone, which
//! runs under valgrind while the service runs in a process of its own.

mod question;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use genai_bridge::emulator::{Emulator, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, Proxy, Transport};

use question::question;

const FEW: u64 = 500;
const MANY: u64 = 2_500;
/// Instructions of a call in steady state, as a part of those of forced REST.
const ALLOWED: f64 = 1.02;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve().await,
        ["call", transport, calls, endpoint, proxy] => {
            call(transport, calls.parse().expect("a number"), endpoint, proxy).await;
        }
        _ => compare(),
    }
}

/// Says where it is, then what to trust, and serves until its input ends.
async fn serve() {
    let emulator = Emulator::start().await.expect("an emulator");
    let proxy = HostileProxy::start(Fault::InspectHttp1).await.expect("a proxy");
    println!("{}\n{}\n{}", emulator.endpoint(), proxy.url(), proxy.root_certificate());
    println!("end");
    let wait = || std::io::stdin().read_to_string(&mut String::new());
    tokio::task::spawn_blocking(wait).await.expect("no panic").expect("the end");
}

async fn call(transport: &str, calls: u64, endpoint: &str, proxy: &str) {
    let transport = if transport == "auto" { Transport::Auto } else { Transport::Rest };
    let root = std::env::var("ROOT").expect("what to trust");
    let builder = Bridge::builder().endpoint(endpoint).add_root_certificates(root);
    let proxy = Proxy::url(proxy).expect("a URL");
    let builder = builder.proxy(proxy).api_key("none").transport(transport);
    let bridge = builder.build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Rest);
    let mut client = GenerativeServiceClient::new(bridge);
    for _ in 0..calls {
        client.generate_content(question()).await.expect("an answer");
    }
}

fn compare() {
    let mut server = itself(&["serve"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let server = server.as_mut().expect("a server");
    let lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    let lines: Vec<String> = lines.map_while(Result::ok).take_while(|line| line != "end").collect();
    let [endpoint, proxy, root @ ..] = &lines[..] else { panic!("the server said {lines:?}") };
    let root = root.join("\n");
    let count = |transport, calls| instructions(transport, calls, endpoint, proxy, &root);
    let each = |transport| (count(transport, MANY) - count(transport, FEW)) / (MANY - FEW) as f64;
    let (auto, rest) = (each("auto"), each("rest"));
    println!("a call over forced REST:   {rest:>10.0} instructions");
    println!("a call after the verdict:  {auto:>10.0} instructions");
    println!("the part: {:.3} (allowed: {ALLOWED})", auto / rest);
    stop(server);
}

/// What callgrind counts for so many calls.
fn instructions(transport: &str, calls: u64, endpoint: &str, proxy: &str, root: &str) -> f64 {
    let program = std::env::current_exe().expect("itself");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["call", transport, &calls.to_string(), endpoint, proxy])
        .env("ROOT", root)
        .output()
        .expect("valgrind, which counts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("Collected")).expect("a count");
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number")
}

fn itself(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("itself"));
    command.args(arguments);
    command
}

fn stop(server: &mut Child) {
    drop(server.stdin.take());
    server.wait().expect("the server ends");
}
