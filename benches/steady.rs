//! What a call costs after the verdict, against forced REST: instructions of the client alone, which
//! runs under valgrind while the service runs in a process of its own.

mod callgrind;
mod question;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use genai_bridge::emulator::{Emulator, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, Proxy, Transport};

use tokio::runtime::Builder;

use callgrind::counted;
use question::question;

const WARM: usize = 500;
const COUNTED: usize = 2_000;
/// Instructions of a call in steady state, as a part of those of forced REST.
const ALLOWED: f64 = 1.02;

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => runtime.block_on(serve()),
        ["call", transport, calls, endpoint, proxy, root] => {
            let bridge = runtime.block_on(connect(transport, endpoint, proxy, root));
            let calls = calls.parse().expect("a number");
            runtime.block_on(call(bridge.clone(), WARM));
            counted(|| runtime.block_on(call(bridge, calls)));
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

async fn connect(transport: &str, endpoint: &str, proxy: &str, root: &str) -> Bridge {
    let transport = if transport == "auto" { Transport::Auto } else { Transport::Rest };
    let builder = Bridge::builder().endpoint(endpoint).add_root_certificates(root);
    let proxy = Proxy::url(proxy).expect("a URL");
    let builder = builder.proxy(proxy).api_key("none").transport(transport);
    let bridge = builder.build().expect("a bridge");
    assert_eq!(bridge.connect().await.expect("a transport"), ActiveTransport::Rest);
    bridge
}

async fn call(bridge: Bridge, calls: usize) {
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
    let each = |transport: &str| {
        let arguments = |calls: &str| {
            ["call", transport, calls, endpoint, proxy, &root].map(str::to_owned).into()
        };
        callgrind::instructions(COUNTED, arguments).expect("a count")
    };
    let (auto, rest) = (each("auto"), each("rest"));
    println!("a call over forced REST:   {rest:>10.0} instructions");
    println!("a call after the verdict:  {auto:>10.0} instructions");
    println!("the part: {:.3} (allowed: {ALLOWED})", auto / rest);
    stop(server);
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
