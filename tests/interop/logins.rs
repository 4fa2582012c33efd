//! Logins at real proxies with a real KDC: squid and Apache, by Digest and by Kerberos.
//!
//! Kerberos is told by the environment where its files are, and reads it when it likes: `.ci/run`
//! sets `KRB5_CONFIG` and `KRB5CCNAME` to places below the tests' own folder, and the tests write
//! the files.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use genai_bridge::doctor::{Doctor, Step};
use genai_bridge::{Error, SymptomKind as Kind, Transport};
use tokio::time::{Duration, interval, timeout};

use crate::bed::{Bed, command};
use crate::row::{Row, Trusted, ask, faults_of_error};

/// A KDC, its configuration, and the user's ticket.
struct Realm {
    config: PathBuf,
    ticket: PathBuf,
    bed: Bed,
}

impl Realm {
    /// The realm `CORP.TEST` with the user `user` (password `tr0mb0ne`) and the service
    /// `HTTP/localhost`.
    async fn start(name: &str) -> Self {
        let mut bed = Bed::new(name).await;
        let (config, ticket) = (place("KRB5_CONFIG"), place("KRB5CCNAME"));
        fs::create_dir_all(config.parent().expect("a folder")).expect("a folder");
        fs::copy(bed.configure("krb5.conf"), &config).expect("a file");
        bed.configure("kdc.conf");
        let realm = Self { config, ticket, bed };
        realm.run("kdb5_util", &["create", "-r", "CORP.TEST", "-s", "-P", "master"]);
        let keytab = realm.bed.folder.join("http.keytab").display().to_string();
        for query in [
            "addprinc -pw tr0mb0ne user".to_owned(),
            "addprinc -randkey HTTP/localhost".to_owned(),
            format!("ktadd -k {keytab} HTTP/localhost"),
        ] {
            realm.administer(&query);
        }
        // squid and Apache have users of their own.
        realm.run("chmod", &["644", &keytab]);
        realm
    }

    fn administer(&self, query: &str) {
        self.run("kadmin.local", &["-r", "CORP.TEST", "-q", query]);
    }

    fn start_kdc(&mut self) {
        let profile = self.profile();
        self.bed.start("krb5kdc", |kdc| {
            kdc.env("KRB5_KDC_PROFILE", profile).args(["-n", "-r", "CORP.TEST"]);
        });
    }

    fn profile(&self) -> PathBuf {
        self.bed.folder.join("kdc.conf")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = command(program);
        command.args(arguments).env("KRB5_KDC_PROFILE", self.profile());
        let ended = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(ended.status.success(), "{program}: {}", String::from_utf8_lossy(&ended.stderr));
    }

    /// A fresh ticket, in place of the one before and of all that came by it.
    fn log_in(options: &[&str]) {
        let mut kinit = command("kinit");
        kinit.args(options).arg("user").stdin(Stdio::piped()).stdout(Stdio::null());
        let mut kinit = kinit.spawn().expect("krb5-user is installed");
        std::io::Write::write_all(&mut kinit.stdin.take().expect("piped"), b"tr0mb0ne\n")
            .expect("written");
        assert!(kinit.wait().expect("a process").success(), "kinit");
    }

    fn log_out(&self) {
        fs::remove_file(&self.ticket).expect("a ticket");
    }
}

/// A place below the tests' own folder: nobody's own Kerberos is overwritten.
fn place(variable: &str) -> PathBuf {
    let set = std::env::var(variable).unwrap_or_default();
    let place = PathBuf::from(set.strip_prefix("FILE:").unwrap_or(&set));
    let own = env!("CARGO_TARGET_TMPDIR");
    assert!(place.starts_with(own), "set {variable} to a place below {own}, as .ci/run does");
    place
}

fn start_squid(bed: &mut Bed) {
    let configuration = bed.configure("squid-login.conf");
    bed.write("digest-passwords", "user:tr0mb0ne\n");
    let owned = command("chown").args(["-R", "proxy"]).arg(&bed.folder).status();
    assert!(owned.expect("chown").success());
    bed.start("squid", |squid| {
        squid.env("KRB5RCACHETYPE", "none").args(["-N", "-f"]).arg(&configuration);
    });
}

fn start_apache(bed: &mut Bed) {
    let configuration = bed.configure("apache-login.conf");
    // "tr0mb0ne" for "user" in the realm "corp".
    bed.write("htdigest", "user:corp:1ed8bfd140cbbf224a4bf6c4c346c982\n");
    bed.start("apache2", |apache| {
        apache.args(["-D", "FOREGROUND", "-f"]).arg(&configuration);
    });
}

/// The CONNECTs of a log that were refused: how many came without a login, and how many with one.
struct Log(PathBuf);

impl Log {
    fn refused(&self) -> (usize, usize) {
        let log = fs::read_to_string(&self.0).unwrap_or_default();
        let refused: Vec<_> = log.lines().filter_map(|line| line.strip_prefix("407 ")).collect();
        let bare = refused.iter().filter(|login| **login == "-").count();
        (bare, refused.len() - bare)
    }

    /// Waits until so many came without one; the log may be written after the answer.
    async fn until(&self, bare: usize) {
        let waiting = async {
            let mut ticks = interval(Duration::from_millis(20));
            while self.refused().0 < bare {
                ticks.tick().await;
            }
        };
        let _ = timeout(Duration::from_secs(5), waiting).await;
    }
}

/// What becomes of the logins of a row.
#[derive(Debug, Clone, Copy)]
enum Logins {
    Good,
    Wrong,
    /// There is none that fits.
    None,
}

/// A row makes a bridge for each transport and one for the doctor.
const BRIDGES: usize = 4;

/// Runs the rows, each with what becomes of its logins.
async fn run(proxy: &str, bed: &mut Bed, log: Log, rows: Vec<(Row, Logins)>) {
    bed.ready().await;
    let mut faults = Vec::new();
    for (row, logins) in rows {
        let (bare_before, wrong_before) = log.refused();
        row.run(proxy, bed, &mut faults).await;
        log.until(bare_before + BRIDGES).await;
        let (bare, refused) = log.refused();
        let (bare, refused) = (bare - bare_before, refused - wrong_before);
        println!("| {proxy} | asked first: {bare} | refused logins: {refused} |");
        let is_so = match logins {
            // The first dial of a bridge asks; what was good is known from then on. Of two dials at
            // once, the later count of a nonce may arrive first: squid asks again, and refuses
            // nobody.
            Logins::Good => bare == BRIDGES && refused <= 2,
            // Each bridge sends it once, whatever it is asked for afterwards.
            Logins::Wrong => refused == BRIDGES,
            Logins::None => refused == 0,
        };
        if !is_so {
            faults.push(format!(
                "{proxy}: {bare} without a login, {refused} refused, not {logins:?}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn good(row: Row) -> (Row, Logins) {
    (row, Logins::Good)
}

fn wrong(row: Row) -> (Row, Logins) {
    (row.closed(Kind::ProxyAuthenticationRequired), Logins::Wrong)
}

#[tokio::test]
#[ignore = "needs squid-openssl and krb5-kdc"]
async fn squid() {
    let mut realm = Realm::start("squid-login").await;
    realm.start_kdc();
    start_squid(&mut realm.bed);
    realm.bed.ready().await;
    Realm::log_in(&[]);
    let log = Log(realm.bed.folder.join("squid-logins.log"));
    let through = |name, url, port| Row::through(name, url, port).trusting(Trusted::Both);
    let rows = vec![
        good(through("Digest", "http://user:tr0mb0ne@HOST", "digest")),
        good(through("Digest, https", "https://user:tr0mb0ne@NAME", "digest-tls")),
        wrong(through("Digest, wrong", "http://user:wrong-pass@HOST", "digest")),
        good(through("Negotiate", "http://NAME", "negotiate").with_kerberos()),
        good(through("Negotiate, https", "https://NAME", "negotiate-tls").with_kerberos()),
        good(through("all, Kerberos", "http://user:wrong-pass@NAME", "all").with_kerberos()),
        good(through("all, https", "https://NAME", "all-tls").with_kerberos()),
        good(through("all, password", "http://user:tr0mb0ne@HOST", "all")),
        wrong(through("all, wrong", "http://user:wrong-pass@HOST", "all")),
        (
            through("NTLM", "http://user:tr0mb0ne@HOST", "ntlm")
                .closed(Kind::ProxyAuthenticationRequired),
            Logins::None,
        ),
    ];
    run("squid", &mut realm.bed, log, rows).await;
}

#[tokio::test]
#[ignore = "needs apache2, libapache2-mod-auth-gssapi and krb5-kdc"]
async fn apache() {
    let mut realm = Realm::start("apache-login").await;
    realm.start_kdc();
    start_apache(&mut realm.bed);
    realm.bed.ready().await;
    Realm::log_in(&[]);
    let log = Log(realm.bed.folder.join("apache-logins.log"));
    let through = |name, url, port| Row::through(name, url, port).trusting(Trusted::Both);
    let rows = vec![
        good(through("Digest", "http://user:tr0mb0ne@HOST", "digest")),
        good(through("Digest, https", "https://user:tr0mb0ne@NAME", "digest-tls")),
        wrong(through("Digest, wrong", "http://user:wrong-pass@HOST", "digest")),
        good(through("Negotiate", "http://NAME", "negotiate").with_kerberos()),
        good(through("Negotiate, https", "https://NAME", "negotiate-tls").with_kerberos()),
    ];
    run("apache", &mut realm.bed, log, rows).await;
}

#[tokio::test]
#[ignore = "needs squid-openssl"]
async fn a_nonce_that_is_used_up_is_renewed() {
    let mut realm = Realm::start("squid-stale").await;
    realm.start_kdc();
    start_squid(&mut realm.bed);
    realm.bed.ready().await;
    let row = Row::through("Digest", "http://user:tr0mb0ne@HOST", "digest");
    let bridge = row.builder(&mut realm.bed).transport(Transport::Grpc).build().expect("a bridge");
    for connection in 0..30 {
        bridge.reset();
        bridge.connect().await.unwrap_or_else(|error| panic!("{connection}: {error}"));
    }
    let log = Log(realm.bed.folder.join("squid-logins.log"));
    let (bare, stale) = log.refused();
    println!(
        "| squid | 30 connections, nonce good for 12 | asked first: {bare} | stale: {stale} |"
    );
    assert!(bare == 1 && (2..=3).contains(&stale), "{bare} {stale}");
}

#[tokio::test]
#[ignore = "needs squid-openssl and krb5-kdc"]
async fn without_a_ticket_it_is_said_what_is_missing() {
    let mut realm = Realm::start("tickets").await;
    realm.start_kdc();
    start_squid(&mut realm.bed);
    realm.bed.ready().await;
    let mut faults = Vec::new();

    Realm::log_in(&["-l", "1s"]);
    let is_good =
        || command("kvno").args(["-q", "HTTP/localhost"]).status().expect("kvno").success();
    while is_good() {
        tokio::task::yield_now().await;
    }
    faults.extend(meet(&mut realm.bed, "expired", &["expired"], "kinit -R").await);
    realm.log_out();
    faults.extend(meet(&mut realm.bed, "missing", &["No Kerberos credentials"], "kinit").await);
    let next = Row::through("next scheme", "http://user:tr0mb0ne@NAME", "all").with_kerberos();
    next.run("squid", &mut realm.bed, &mut faults).await;

    Realm::log_in(&[]);
    let config = fs::read_to_string(&realm.config).expect("a file");
    let port = format!("127.0.0.1:{}", realm.bed.port("kdc"));
    let away = config.replace(&port, &realm.bed.fill("@CLOSED@".to_owned()));
    fs::write(&realm.config, away).expect("a file");
    faults.extend(meet(&mut realm.bed, "KDC away", &["Cannot contact any KDC"], "VPN").await);
    fs::write(&realm.config, config).expect("a file");

    realm.administer("delprinc -force HTTP/localhost");
    Realm::log_in(&[]);
    let said = ["Server HTTP/localhost", "not found in Kerberos database"];
    faults.extend(meet(&mut realm.bed, "unknown name", &said, "kvno").await);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A call that has no ticket for the proxy: it fails with these words and this advice, and so says
/// the doctor.
async fn meet(bed: &mut Bed, name: &str, said: &[&str], advised: &str) -> Vec<String> {
    let row = Row::through("no ticket", "http://NAME", "negotiate").with_kerberos();
    let status = ask(row.builder(bed)).await.expect_err("no ticket");
    let error = Error::of(&status).expect("ours");
    let (text, advice) = (error.to_string(), error.advice().unwrap_or_default());
    println!(
        "| {name} | {:?} | {text} | {advice} |",
        error.symptom().map(genai_bridge::Symptom::kind)
    );
    let mut faults = faults_of_error(&status);
    let report = Doctor::new(row.builder(bed)).examine().await;
    let login = report.check(Step::Login).expect("each step").evidence().to_owned();
    println!("| {name} | doctor | {login} |");
    for words in said {
        for (place, text) in [("error", &text), ("doctor", &login)] {
            if !text.contains(words) {
                faults.push(format!("{name}, {place}: `{words}` is not said: {text}"));
            }
        }
    }
    if !advice.contains(advised) {
        faults.push(format!("{name}: `{advised}` is not advised: {advice}"));
    }
    faults
}
