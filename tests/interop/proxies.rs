//! Real proxies, one test each: for every mode what becomes of a call over gRPC, over REST, and
//! left to the bridge, and of requests of other paths.

use std::time::Duration;

use genai_bridge::SymptomKind as Kind;
use tonic::Code;

use crate::bed::{Bed, command};
use crate::paths::script;
use crate::row::{End, REST, Row, Trusted};

const SECOND: Duration = Duration::from_secs(1);
/// Two calls, each at once.
const QUICK: Duration = Duration::from_millis(300);

/// Runs every row; all that is not as expected is told at the end.
async fn run(proxy: &str, mut bed: Bed, rows: Vec<Row>) {
    bed.ready().await;
    let mut faults = Vec::new();
    script(&bed);
    for row in rows {
        row.run(proxy, &mut bed, &mut faults).await;
        faults.extend(row.run_paths(proxy, &mut bed).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn broken(kind: Kind) -> End {
    End::Broken(kind)
}

pub(crate) fn start_squid(bed: &mut Bed) {
    let configuration = bed.configure("squid.conf");
    let store = bed.folder.join("certificates");
    let mut make = command("security_file_certgen");
    make.args(["-c", "-s"]).arg(&store).args(["-M", "4MB"]);
    assert!(make.status().expect("squid-openssl is installed").success());
    let owned = command("chown").args(["-R", "proxy"]).arg(&bed.folder).status();
    assert!(owned.expect("chown").success());
    bed.start("squid", |squid| {
        squid.args(["-N", "-f"]).arg(&configuration);
    });
}

#[tokio::test]
#[ignore = "needs squid-openssl"]
async fn squid() {
    let mut bed = Bed::new("squid").await;
    start_squid(&mut bed);
    let login = "http://user:tr0mb0ne@HOST";
    let rows = vec![
        Row::through("CONNECT", "http://HOST", "pass"),
        Row::through("403", "http://HOST", "deny").closed(Kind::ProxyForbidden).within(SECOND),
        Row::through("login", login, "login"),
        Row::through("407, no login", "http://HOST", "login")
            .closed(Kind::ProxyAuthenticationRequired)
            .within(SECOND),
        Row::through("407, wrong login", "http://user:wrong-pass@HOST", "login")
            .closed(Kind::ProxyAuthenticationRequired)
            .within(SECOND),
        Row::through("ssl-bump, trusted", "http://HOST", "bump").trusting(Trusted::Corp).ends(
            broken(Kind::Http2NotOffered),
            REST,
            REST,
        ),
        Row::through("ssl-bump, not trusted", "http://HOST", "bump")
            .closed(Kind::CertificateUnknownIssuer)
            .within(SECOND),
        Row::through("ssl-bump, page", "http://HOST", "page").trusting(Trusted::Corp).ends(
            broken(Kind::Http2NotOffered),
            broken(Kind::ForeignError),
            broken(Kind::ForeignError),
        ),
        Row::through("splice", "http://HOST", "splice"),
        Row::through("terminate", "http://HOST", "terminate").closed(Kind::ProxyClosed),
    ];
    run("squid", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs tinyproxy"]
async fn tinyproxy() {
    let mut bed = Bed::new("tinyproxy").await;
    for model in ["tinyproxy.conf", "tinyproxy-ports.conf", "tinyproxy-login.conf"] {
        let configuration = bed.configure(model);
        bed.start("tinyproxy", |tinyproxy| {
            tinyproxy.args(["-d", "-c"]).arg(&configuration);
        });
    }
    let rows = vec![
        Row::through("CONNECT", "http://HOST", "pass"),
        Row::through("port refused", "http://HOST", "deny")
            .closed(Kind::ProxyForbidden)
            .within(SECOND),
        Row::through("login", "http://user:tr0mb0ne@HOST", "login"),
        Row::through("407", "http://HOST", "login")
            .closed(Kind::ProxyAuthenticationRequired)
            .within(SECOND),
    ];
    run("tinyproxy", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx() {
    let mut bed = Bed::new("nginx").await;
    let configuration = bed.configure("nginx.conf");
    bed.start("nginx", |nginx| {
        nginx.arg("-c").arg(&configuration);
    });
    let page = |kind| (broken(Kind::NotGrpc), broken(kind), broken(kind));
    let with = |row: Row, (grpc, rest, auto)| row.ends(grpc, rest, auto);
    let rows = vec![
        Row::at("HTTP/1.1 only", "h1").ends(broken(Kind::Http2NotOffered), REST, REST),
        Row::at("h2 to HTTP/1.1", "h2-to-h1").ends(broken(Kind::NotGrpc), REST, REST),
        Row::at("grpc_pass", "grpc-pass"),
        // The probe is small enough.
        Row::at("413", "too-large").ends(
            broken(Kind::NotGrpc),
            broken(Kind::ForeignError),
            broken(Kind::NotGrpc),
        ),
        with(Row::at("502", "bad-gateway"), page(Kind::ForeignError)),
        Row::at("grpc_pass, 502", "grpc-bad-gateway").ends(broken(Kind::NotGrpc), REST, REST),
        // The head start is over before the probe is answered.
        Row::at("504", "gateway-timeout").ends(
            broken(Kind::NotGrpc),
            broken(Kind::ForeignError),
            broken(Kind::ForeignError),
        ),
        with(Row::at("403 page", "forbidden"), page(Kind::ForeignError)),
        with(Row::at("200 page", "page"), page(Kind::NotJson)),
        with(Row::at("511 portal", "portal"), page(Kind::ForeignError)),
        Row::at("444", "dropped").ends(
            broken(Kind::StreamReset),
            broken(Kind::ConnectionLost),
            broken(Kind::ConnectionLost),
        ),
        Row::at("keepalive_requests 1", "one-request"),
        Row::through("asked to CONNECT", "http://HOST", "misused").closed(Kind::ProxyRejected),
    ];
    run("nginx", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn haproxy() {
    let mut bed = Bed::new("haproxy").await;
    let configuration = bed.configure("haproxy.cfg");
    bed.start("haproxy", |haproxy| {
        haproxy.args(["-db", "-f"]).arg(&configuration);
    });
    let rows = vec![
        Row::at("TCP", "tcp").trusting(Trusted::Origin),
        Row::at("HTTP/1.1 only", "h1").ends(broken(Kind::Http2NotOffered), REST, REST),
        Row::at("no ALPN", "no-alpn").ends(broken(Kind::Http2NotOffered), REST, REST),
        Row::at("h2 to HTTP/1.1", "h2-to-h1").ends(broken(Kind::NotGrpc), REST, REST),
        Row::at("h2", "h2"),
        Row::at("deny", "deny").ends(broken(Kind::NotGrpc), REST, REST),
        Row::at("reject", "reject").ends(broken(Kind::StreamReset), REST, REST),
        Row::at("silent-drop", "silent-drop").ends(End::Said(Code::DeadlineExceeded), REST, REST),
        Row::at("200 page", "page").ends(broken(Kind::NotGrpc), REST, REST),
        Row::at("503", "unavailable").ends(
            broken(Kind::NotGrpc),
            broken(Kind::ForeignError),
            broken(Kind::ForeignError),
        ),
    ];
    run("haproxy", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs mitmproxy"]
async fn mitmproxy() {
    let mut bed = Bed::new("mitmproxy").await;
    bed.write("mitmproxy-ca.pem", &bed.corp.pem_with_key());
    let script = bed.configure("mitmproxy.py");
    for mode in ["h2", "h1", "strip", "page", "swap"] {
        let port = bed.port(mode).to_string();
        let folder = bed.folder.display().to_string();
        let script = script.clone();
        bed.start("mitmdump", |mitmdump| {
            mitmdump.env("INTEROP_MODE", mode).arg("-q");
            mitmdump.args(["--listen-host", "127.0.0.1", "--listen-port", &port]);
            mitmdump.arg("--set").arg(format!("confdir={folder}"));
            mitmdump
                .arg("--set")
                .arg(format!("ssl_verify_upstream_trusted_ca={folder}/origin.pem"));
            mitmdump.arg("--set").arg(format!("http2={}", mode != "h1"));
            mitmdump.arg("-s").arg(script);
        });
    }
    let inspected = |name, port| Row::through(name, "http://HOST", port).trusting(Trusted::Corp);
    let rows = vec![
        inspected("h2", "h2"),
        inspected("HTTP/1.1 only", "h1").ends(broken(Kind::Http2NotOffered), REST, REST),
        inspected("strips trailers", "strip").ends(broken(Kind::TrailersMissing), REST, REST),
        inspected("200 page", "page").ends(broken(Kind::NotGrpc), REST, REST),
        inspected("swaps the answer", "swap").ends(broken(Kind::NotGrpc), REST, REST),
        Row::through("not trusted", "http://HOST", "h2")
            .closed(Kind::CertificateUnknownIssuer)
            .within(SECOND),
    ];
    run("mitmproxy", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs envoy"]
async fn envoy() {
    let mut bed = Bed::new("envoy").await;
    let configuration = bed.configure("envoy.yaml");
    bed.start("envoy", |envoy| {
        envoy.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warn", "-c"]);
        envoy.arg(&configuration);
    });
    let page = broken(Kind::ForeignError);
    // Envoy writes gRPC statuses of its own, and signs the service's with its name as well.
    let forged = |row: Row, code| row.ends(End::Said(code), page, page);
    let rows = vec![
        Row::at("h2", "h2"),
        Row::at("h2 to HTTP/1.1", "h2-to-h1").ends(broken(Kind::NotGrpc), REST, REST),
        Row::at("HTTP/1.1 only", "h1").ends(broken(Kind::Http2NotOffered), REST, REST),
        forged(Row::at("nothing behind it", "down"), Code::Unavailable),
        forged(Row::at("RBAC", "rbac"), Code::PermissionDenied),
        Row::at("timeout", "timeout").ends(End::Said(Code::Unavailable), page, page),
        forged(Row::at("403 page", "page"), Code::PermissionDenied),
        Row::through("CONNECT", "http://HOST", "connect"),
    ];
    run("envoy", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs dante-server and microsocks"]
async fn socks() {
    let mut bed = Bed::new("socks").await;
    for model in ["dante.conf", "dante-deny.conf"] {
        let configuration = bed.configure(model);
        bed.start("danted", |danted| {
            danted.arg("-f").arg(&configuration);
        });
    }
    for (port, login) in [("micro", &[][..]), ("micro-login", &["-u", "user", "-P", "tr0mb0ne"])] {
        let number = bed.port(port).to_string();
        bed.start("microsocks", |microsocks| {
            microsocks.args(["-i", "127.0.0.1", "-p", &number]).args(login);
        });
    }
    let rows = vec![
        Row::through("dante, name looked up here", "socks5://HOST", "pass"),
        Row::through("dante, name looked up there", "socks5h://HOST", "pass"),
        Row::through("dante, denied", "socks5h://HOST", "deny")
            .closed(Kind::SocksRefused)
            .within(SECOND),
        Row::through("microsocks", "socks5h://HOST", "micro"),
        Row::through("microsocks, login", "socks5h://user:tr0mb0ne@HOST", "micro-login"),
        Row::through("microsocks, no login", "socks5h://HOST", "micro-login")
            .closed(Kind::SocksRefused)
            .within(SECOND),
        Row::through("microsocks, wrong login", "socks5h://user:wrong-pass@HOST", "micro-login")
            .closed(Kind::SocksRefused)
            .within(SECOND),
    ];
    run("socks", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs stunnel4 and squid-openssl"]
async fn stunnel() {
    let mut bed = Bed::new("stunnel").await;
    start_squid(&mut bed);
    let configuration = bed.configure("stunnel.conf");
    bed.start("stunnel4", |stunnel| {
        stunnel.arg(&configuration);
    });
    let rows = vec![
        Row::through("https proxy", "https://NAME", "https").trusting(Trusted::Both),
        Row::through("https proxy, not trusted", "https://NAME", "https")
            .closed(Kind::CertificateUnknownIssuer)
            .within(SECOND),
        Row::through("https proxy, spoken to in plaintext", "http://HOST", "https")
            .trusting(Trusted::Both)
            .closed(Kind::ProxyClosed),
    ];
    run("stunnel", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs apache2"]
async fn apache() {
    let mut bed = Bed::new("apache").await;
    let configuration = bed.configure("apache.conf");
    bed.start("apache2", |apache| {
        apache.args(["-D", "FOREGROUND", "-f"]).arg(&configuration);
    });
    let login = Kind::ProxyAuthenticationRequired;
    let rows = vec![
        Row::through("login", "http://user:tr0mb0ne@HOST", "login"),
        Row::through("407, no login", "http://HOST", "login").closed(login).within(QUICK),
        Row::through("407, wrong login", "http://user:wrong-pass@HOST", "login")
            .closed(login)
            .within(QUICK),
        Row::through("407, Digest", "http://user:tr0mb0ne@HOST", "digest")
            .closed(login)
            .within(QUICK),
        Row::through("403", "http://HOST", "deny").closed(Kind::ProxyForbidden).within(QUICK),
        Row::through("https proxy", "https://NAME", "https").trusting(Trusted::Both),
        Row::through("https:// to a proxy in plaintext", "https://NAME", "deny")
            .closed(Kind::NotTls)
            .within(QUICK),
        Row::at("h2", "h2"),
        Row::at("h2 to HTTP/1.1", "h2-to-h1").ends(broken(Kind::NotGrpc), REST, REST),
        Row::at("503", "down").ends(
            broken(Kind::NotGrpc),
            broken(Kind::ForeignError),
            broken(Kind::ForeignError),
        ),
    ];
    run("apache", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs privoxy"]
async fn privoxy() {
    let mut bed = Bed::new("privoxy").await;
    bed.write("block.action", "{+block{by its rules}}\nlocalhost\n");
    for model in ["privoxy.conf", "privoxy-block.conf", "privoxy-parent.conf"] {
        let configuration = bed.configure(model);
        bed.start("privoxy", |privoxy| {
            privoxy.arg("--no-daemon").arg(&configuration);
        });
    }
    let rows = vec![
        Row::through("CONNECT", "http://HOST", "pass"),
        Row::through("blocked", "http://HOST", "block").closed(Kind::ProxyForbidden).within(QUICK),
        Row::through("its own proxy is down", "http://HOST", "parent")
            .closed(Kind::ProxyUpstreamFailed)
            .within(QUICK),
    ];
    run("privoxy", bed, rows).await;
}

#[tokio::test]
#[ignore = "needs nghttp2-proxy"]
async fn nghttpx() {
    let mut bed = Bed::new("nghttpx").await;
    for options in [
        "--frontend=127.0.0.1,@port h2@ --backend=127.0.0.1,@PLAIN_PORT@;;proto=h2",
        "--frontend=127.0.0.1,@port h2-to-h1@ --backend=127.0.0.1,@PLAIN_PORT@",
        "--frontend=127.0.0.1,@port h1@ --backend=127.0.0.1,@PLAIN_PORT@ --npn-list=http/1.1",
        "--frontend=127.0.0.1,@port fields@ --backend=127.0.0.1,@PLAIN_PORT@ --max-request-header-fields=3",
        "--frontend=127.0.0.1,@port down@ --backend=127.0.0.1,@CLOSED_PORT@",
    ] {
        let options = bed.fill(options.to_owned());
        let folder = bed.folder.clone();
        bed.start("nghttpx", |nghttpx| {
            nghttpx.args(["--conf=/dev/null", "--accesslog-file=/dev/null", "--workers=1"]);
            nghttpx.args(options.split(' '));
            nghttpx.arg(folder.join("corp-leaf.key")).arg(folder.join("corp-leaf.pem"));
        });
    }
    let page = broken(Kind::ForeignError);
    let rows = vec![
        Row::at("h2", "h2"),
        Row::at("h2 to HTTP/1.1", "h2-to-h1").ends(broken(Kind::NotGrpc), REST, REST),
        Row::at("HTTP/1.1 only", "h1").ends(broken(Kind::Http2NotOffered), REST, REST),
        Row::at("431", "fields").ends(broken(Kind::NotGrpc), page, page).within(QUICK),
        Row::at("502", "down").ends(broken(Kind::NotGrpc), page, page).within(QUICK),
    ];
    run("nghttpx", bed, rows).await;
}
