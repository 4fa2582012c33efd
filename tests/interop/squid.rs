//! squid: a tunnel that stays closed to it carries gRPC; with `ssl-bump` it speaks HTTP/1.1 and REST answers.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use genai_bridge::emulator::{Authority, Emulator};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{Content, GenerateContentRequest, Part, part::Data};
use genai_bridge::{ActiveTransport, Bridge, BridgeBuilder, Error, Proxy, SymptomKind};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, interval, timeout};

/// How each port of squid treats a tunnel.
pub(crate) struct Squid {
    process: Child,
    folder: PathBuf,
    pass: SocketAddr,
    deny: SocketAddr,
    login: SocketAddr,
    pub(crate) bump: SocketAddr,
}

impl Squid {
    pub(crate) async fn start(inspection: &Authority, trusted: &str) -> Self {
        let [pass, deny, login, bump] = free_addresses();
        let folder = std::env::temp_dir().join(format!("genai-bridge-squid-{}", bump.port()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("logs")).expect("a folder");
        fs::write(folder.join("inspection.pem"), inspection.pem_with_key()).expect("a file");
        fs::write(folder.join("trusted.pem"), trusted).expect("a file");
        // "user" with the password "word", in Apache MD5 form.
        fs::write(folder.join("passwords"), "user:$apr1$genai$Nrbrk/SyW/mTbDwvMLwTT/\n")
            .expect("a file");
        make_certificate_store(&folder);
        let configuration = configuration(&folder, pass, deny, login, bump);
        fs::write(folder.join("squid.conf"), configuration).expect("a file");
        let run = Command::new("chown").args(["-R", "proxy"]).arg(&folder).status();
        assert!(run.expect("chown").success());
        let process = Command::new("squid")
            .args(["-N", "-f"])
            .arg(folder.join("squid.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("squid-openssl is installed");
        let squid = Self { process, folder, pass, deny, login, bump };
        timeout(Duration::from_secs(60), until_it_listens(bump)).await.expect("squid listens");
        squid
    }
}

/// Ends what was started, and what it started.
impl Drop for Squid {
    fn drop(&mut self) {
        let process = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &process]).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Ports that nobody holds now.
pub(crate) fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address"))
}

pub(crate) async fn until_it_listens(address: SocketAddr) {
    let mut ticks = interval(Duration::from_millis(50));
    while TcpStream::connect(address).await.is_err() {
        ticks.tick().await;
    }
}

fn make_certificate_store(folder: &Path) {
    let made = Command::new("/usr/lib/squid/security_file_certgen")
        .args(["-c", "-s"])
        .arg(folder.join("certificates"))
        .args(["-M", "4MB"])
        .stdout(Stdio::null())
        .status();
    assert!(made.expect("squid-openssl is installed").success());
}

fn configuration(
    folder: &Path,
    pass: SocketAddr,
    deny: SocketAddr,
    login: SocketAddr,
    bump: SocketAddr,
) -> String {
    let folder = folder.display();
    format!(
        "visible_hostname squid.corp.test
http_port {pass} name=pass
http_port {deny} name=deny
http_port {login} name=login
http_port {bump} name=bump ssl-bump tls-cert={folder}/inspection.pem generate-host-certificates=on
sslcrtd_program /usr/lib/squid/security_file_certgen -s {folder}/certificates -M 4MB
sslcrtd_children 1
tls_outgoing_options cafile={folder}/trusted.pem
auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/passwords
auth_param basic realm corp
acl at_deny myportname deny
acl at_login myportname login
acl at_bump myportname bump
acl known proxy_auth REQUIRED
ssl_bump bump at_bump
ssl_bump splice all
http_access deny at_deny
http_access deny at_login !known
http_access allow all
cache deny all
cache_log {folder}/logs/cache.log
access_log stdio:{folder}/logs/access.log
pid_filename none
coredump_dir {folder}
cache_effective_user proxy
shutdown_lifetime 0 seconds
netdb_filename none
pinger_enable off
"
    )
}

#[tokio::test]
#[ignore = "needs squid-openssl"]
async fn auto_takes_grpc_through_a_tunnel_and_rest_through_ssl_bump() {
    let inspection = Authority::new("Corp Inspection CA");
    let emulator = Emulator::start().await.expect("an emulator");
    let squid = Squid::start(&inspection, emulator.root_certificate()).await;
    let through = |address: SocketAddr, login: &str| {
        let proxy = Proxy::url(&format!("http://{login}{address}")).expect("a URL");
        Bridge::builder().endpoint(emulator.endpoint()).api_key("none").proxy(proxy)
    };
    let trusting =
        |builder: BridgeBuilder| builder.add_root_certificates(emulator.root_certificate());
    let inspected = |builder: BridgeBuilder| builder.add_root_certificates(inspection.pem());

    for (name, builder, carried_by) in [
        ("plain CONNECT", trusting(through(squid.pass, "")), ActiveTransport::Grpc),
        (
            "CONNECT with a login",
            trusting(through(squid.login, "user:word@")),
            ActiveTransport::Grpc,
        ),
        ("ssl-bump", inspected(through(squid.bump, "")), ActiveTransport::Rest),
    ] {
        let began = Instant::now();
        let transport = ask(builder).await.expect(name);
        println!("squid, {name}: answered over {} in {:?}", transport.as_str(), began.elapsed());
        assert_eq!(transport, carried_by, "{name}");
    }
    for (name, builder, symptom) in [
        ("CONNECT denied", trusting(through(squid.deny, "")), SymptomKind::ProxyForbidden),
        ("no login", trusting(through(squid.login, "")), SymptomKind::ProxyAuthenticationRequired),
        (
            "ssl-bump, untrusted",
            trusting(through(squid.bump, "")),
            SymptomKind::CertificateUnknownIssuer,
        ),
    ] {
        let status = ask(builder).await.expect_err(name);
        println!("squid, {name}: {}", status.message());
        let error = Error::of(&status).expect("ours");
        assert_eq!(error.symptom().expect("a symptom").kind(), symptom, "{name}");
    }
}

async fn ask(builder: BridgeBuilder) -> Result<ActiveTransport, tonic::Status> {
    let bridge = builder.build().expect("a bridge");
    bridge.connect().await?;
    let part = Part { data: Some(Data::Text("?".into())), ..Part::default() };
    let request = GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![Content { parts: vec![part], role: "user".into() }],
        ..GenerateContentRequest::default()
    };
    let reply = GenerativeServiceClient::new(bridge).generate_content(request).await?;
    Ok(*reply.extensions().get().expect("a mark"))
}
